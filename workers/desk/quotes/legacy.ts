/**
 * The asked source: the legacy line protocol, one question a TCP connection.
 * Send `SYM,userid\n`, read `price,SYM,userid,timestampMs,cryptokey\n`. Answers
 * come in pieces, without their newline, as garbage or not at all; each of
 * these is an answer of its own here, and none is ever a price.
 */
import { parseAnswer } from "../../../domain/desk/quote.ts";
import { addressOf, discard, type Answer, type AskedSource } from "./port.ts";

/** Longer than any answer; whoever sends more is not a quote server. */
const MAX_ANSWER_BYTES = 512;

export interface LegacyOptions {
  readonly url: string;
  /** In whose name the source is asked where no user is why. */
  readonly user: string;
  /** The real server takes up to 4 s. */
  readonly timeoutMs: number;
}

/** What may stand in the audit as a key: printable, and no comma. */
const CRYPTOKEY = /^[!-+\--~]{1,128}$/;

export function legacySource({ url, user: house, timeoutMs }: LegacyOptions): AskedSource {
  return {
    async ask(symbol, user = house) {
      const { promise, resolve } = Promise.withResolvers<Answer>();
      const decoder = new TextDecoder();
      let text = "";

      const judge = (line: string): Answer => {
        const whole = line.replace(/\r$/, "");
        const quote = parseAnswer(whole, symbol, user);
        const cryptokey = whole.split(",")[4] ?? "";
        if (!quote || !CRYPTOKEY.test(cryptokey)) return { kind: "garbage" };
        return { kind: "quoted", quote, cryptokey, user };
      };
      const timer = setTimeout(() => resolve({ kind: "silent" }), timeoutMs);
      const connecting = Bun.connect({
        ...addressOf(url),
        socket: {
          open(socket) {
            socket.write(`${symbol},${user}\n`);
          },
          data(_socket, bytes) {
            text += decoder.decode(bytes, { stream: true });
            const end = text.indexOf("\n");
            if (end >= 0) resolve(judge(text.slice(0, end)));
            else if (text.length > MAX_ANSWER_BYTES) resolve({ kind: "garbage" });
          },
          // The newline may be missing at the end of the stream.
          close: () => resolve(judge(text)),
          error: () => resolve({ kind: "garbage" }),
          connectError: () => resolve({ kind: "refused" }),
        },
      });
      // The same as `connectError`, which may come first.
      connecting.catch(() => resolve({ kind: "refused" }));
      const answer = await promise;
      clearTimeout(timer);
      discard(connecting);
      return answer;
    },
  };
}

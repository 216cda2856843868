/**
 * The asked source: the legacy line protocol, one question for each TCP connection. Send
 * `SYM,userid\n`, read `price,SYM,userid,timestampMs,cryptokey\n`. An answer may come in
 * pieces, without its newline, as garbage or not at all. Each of these has its own result
 * here, and none of them becomes a price.
 */
import { parseAnswer } from "../../../domain/desk/quote.ts";
import { addressOf, discard, type Answer, type AskedSource } from "./port.ts";

/** Longer than any answer: a server that sends more is not a quote server. */
const MAX_ANSWER_BYTES = 512;

export interface LegacyOptions {
  readonly url: string;
  /** The name in which the source is asked if no user caused the question. */
  readonly user: string;
  /** The real server takes up to 4 s. */
  readonly timeoutMs: number;
}

/** The keys that the audit accepts: printable, and without a comma. */
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

/**
 * The asked side of the simulator, in the legacy line protocol: one question for each
 * connection, `SYM,userid\n`, answered with `price,SYM,userid,timestampMs,cryptokey\n`.
 * After any other line, and for a symbol without a price, the simulator closes the
 * connection without an answer.
 */
import { createHash } from "node:crypto";
import { ID_PATTERN } from "../../../domain/ids.ts";
import { SYMBOL_PATTERN } from "../../../domain/instrument.ts";
import type { Prices } from "./prices.ts";
import { noise } from "./walk.ts";

const MAX_QUESTION_BYTES = 128;
const MAX_CONNECTIONS = 1_000;
const IDLE_SECONDS = 10;

export interface AskedServerOptions {
  readonly hostname: string;
  readonly port: number;
  readonly prices: Prices;
  /** How long each answer is delayed. */
  readonly latencyMs: () => number;
  readonly now: () => number;
}

export function listenAsked({ hostname, port, prices, latencyMs, now }: AskedServerOptions): {
  stop(): void;
} {
  let connections = 0;

  function answerTo(line: string): string | undefined {
    const [symbol = "", user = "", ...rest] = line.replace(/\r$/, "").split(",");
    if (!SYMBOL_PATTERN.test(symbol) || !ID_PATTERN.test(user) || rest.length > 0) return undefined;
    const time = now();
    const price = prices(symbol, time);
    if (price === undefined) return undefined;
    const said = `${price},${symbol},${user},${time}`;
    const key = createHash("sha512").update(said).digest().subarray(0, 40).toString("base64");
    return `${said},${key}\n`;
  }

  return Bun.listen<{ question: string; asked: boolean }>({
    hostname,
    port,
    socket: {
      open(socket) {
        connections += 1;
        socket.data = { question: "", asked: false };
        socket.timeout(IDLE_SECONDS);
        if (connections > MAX_CONNECTIONS) socket.end();
      },
      data(socket, bytes) {
        const { data } = socket;
        if (data.asked) return;
        data.question += bytes.toString("latin1");
        const end = data.question.indexOf("\n");
        if (end < 0 && data.question.length <= MAX_QUESTION_BYTES) return;
        data.asked = true;
        const answer = answerTo(data.question.slice(0, Math.max(end, 0)));
        if (answer === undefined) socket.end();
        else setTimeout(() => socket.end(answer), latencyMs());
      },
      timeout: (socket) => void socket.end(),
      close() {
        connections -= 1;
      },
      error: (socket) => void socket.end(),
    },
  });
}

/**
 * As slow as the real server was over 1,200 answers: about 9 ms two times in three, and
 * one to four whole seconds more otherwise.
 */
export function legacyLatencyMs(seed: number, answer: number): number {
  const share = noise(seed, answer, 0);
  const seconds = [0.66, 0.82, 0.9, 0.96].filter((bound) => share >= bound).length;
  return seconds * 1_000 + 8 + 3 * noise(seed, answer, 1);
}

/**
 * A running day-trading desk: Redis, the simulated quote server, desk servers and the audit role,
 * each in its own process.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectRedis } from "../../workers/runtime/redis-client.ts";
import type { Redis } from "../../workers/runtime/redis.ts";
import { freePort } from "./ports.ts";
import { startRedis, type TestRedis } from "./redis.ts";
import { startRole } from "./role.ts";

export interface DeskServer {
  readonly url: string;
  /** `kill -9`. */
  kill(): Promise<void>;
  /** SIGTERM, and started again. */
  swap(): Promise<void>;
  /** SIGSTOP: it accepts connections and does not answer. */
  halt(): void;
  resume(): void;
  restart(): Promise<void>;
}

export interface TradingDesk {
  readonly redis: TestRedis;
  readonly client: Redis;
  readonly token: string;
  readonly data: string;
  readonly servers: readonly DeskServer[];
  /** The settings of every role of this desk. */
  readonly env: Readonly<Record<string, string>>;
  /** `SYM` → price, from the next answer of the quote server on. */
  fixPrices(prices: Readonly<Record<string, string>>): void;
  stop(): Promise<void>;
}

export interface TradingDeskOptions {
  readonly servers: number;
  /** `SYM` → price; the prices of other symbols vary. */
  readonly prices?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly audit?: boolean;
  /** `always` if a killed Redis must not lose anything that was answered. */
  readonly durability?: "everysec" | "always";
}

/**
 * In real runs pending orders are valid for a minute, and a slow machine must not change the
 * result.
 */
export async function startTradingDesk(options: TradingDeskOptions): Promise<TradingDesk> {
  const data = mkdtempSync(join(tmpdir(), "fanfare-desk-"));
  const redis = await startRedis({
    appendOnly: true,
    ...(options.durability ? { durability: options.durability } : {}),
  });
  const [asked, streaming] = [await freePort(), await freePort()];
  const token = crypto.randomUUID();
  const prices = join(data, "prices");
  const fixPrices = (fixed: Readonly<Record<string, string>>): void => {
    const lines = Object.entries(fixed).map(([symbol, price]) => `${symbol},${price}\n`);
    writeFileSync(prices, lines.join(""));
  };
  fixPrices(options.prices ?? {});
  const env = {
    FANFARE_REDIS_URL: redis.url,
    FANFARE_PARTITIONS: "4",
    FANFARE_DATA: data,
    FANFARE_DESK_TOKEN: token,
    FANFARE_DESK_PENDING_MS: "100000000",
    FANFARE_SIMULATOR_ASKED_PORT: String(asked),
    FANFARE_SIMULATOR_STREAMING_PORT: String(streaming),
    FANFARE_SIMULATOR_PRICES: prices,
    FANFARE_QUOTES_ASKED: `tcp://127.0.0.1:${asked}`,
    FANFARE_QUOTES_STREAMING: `tcp://127.0.0.1:${streaming}`,
    ...options.env,
  };
  const simulator = await startRole("simulator", env);
  const stops = [() => simulator.stop()];
  if (options.audit !== false) {
    const drain = await startRole("audit", { ...env, FANFARE_CONSUMER: "audit" });
    stops.push(() => drain.stop());
  }

  const servers: DeskServer[] = [];
  for (let index = 0; index < options.servers; index += 1) {
    const port = await freePort();
    const own = { ...env, FANFARE_DESK_PORT: String(port), FANFARE_CONSUMER: `desk${index + 1}` };
    let role = await startRole("desk", own);
    servers.push({
      url: `http://127.0.0.1:${port}`,
      kill: () => role.kill(),
      async swap() {
        await role.stop();
        role = await startRole("desk", own);
      },
      halt: () => void process.kill(role.pid, "SIGSTOP"),
      resume: () => void process.kill(role.pid, "SIGCONT"),
      async restart() {
        role = await startRole("desk", own);
      },
    });
    stops.push(() => role.stop());
  }
  const client = connectRedis(redis.url);
  return {
    redis,
    client,
    token,
    data,
    servers,
    env,
    fixPrices,
    async stop() {
      client.close();
      await Promise.all(stops.map((each) => each()));
      await redis.stop();
      rmSync(data, { recursive: true, force: true });
    },
  };
}

/** Reply lines as the desk sends them. */
export type DeskReply = {
  readonly n: number | null;
  readonly transaction: number | null;
  readonly ok: boolean;
  readonly code?: string;
} & Readonly<Record<string, unknown>>;

/** Sends lines in one request and reads all replies. */
export async function sendLines(
  { url }: Pick<DeskServer, "url">,
  token: string,
  lines: readonly string[],
  session?: string,
): Promise<DeskReply[]> {
  const response = await fetch(`${url}/v1/desk/commands`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${token}`,
      ...(session === undefined ? {} : { "command-session": session }),
    },
    body: lines.join("\n"),
  });
  if (response.status !== 200) throw new Error(`the desk answered ${response.status}`);
  return parseReplies(await response.text());
}

export function parseReplies(text: string): DeskReply[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as DeskReply);
}

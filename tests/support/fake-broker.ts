/**
 * Starts the fake broker of tests/fake-broker as a separate process, and the copier's adapter to
 * it.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { connectHttp } from "../../workers/copier/brokers/http/http.ts";
import type { Broker, Capabilities } from "../../workers/copier/brokers/port.ts";
import { readBook, readSales, type BookLine, type SaleLine } from "../fake-broker/book.ts";
import type { FakeBrokerSettings, Faults } from "../fake-broker/settings.ts";
import { freePort } from "./ports.ts";

export { isOverlooked } from "../fake-broker/venue.ts";
export type { Faults };

export interface FakeBroker {
  readonly port: number;
  readonly url: string;
  readonly broker: Broker;
  /** The settings of a `broker` worker beside it; `url` may be a proxy of the test. */
  env(url?: string): Readonly<Record<string, string>>;
  deposit(accounts: readonly string[], amountCents: number): Promise<void>;
  balanceOf(account: string): Promise<number>;
  /** Replaces all faults. */
  misbehave(faults: Partial<Faults>): Promise<void>;
  /** The highest number of open calls of one account at once since the last question. */
  crowd(): Promise<number>;
  /** Read from the file, without any tested code. */
  book(): BookLine[];
  /** Positions that were bought back, from the same file. */
  sales(): SaleLine[];
  stop(): Promise<void>;
}

/**
 * The capabilities of this broker for the conformance and crash tests, with the shortest possible
 * time in flight.
 */
export async function startFakeBroker(
  kind: Omit<Capabilities, "inFlightMs">,
  { seed = 1, windowMs = 600_000, inFlightMs = 2_000 } = {},
): Promise<FakeBroker> {
  const [port, controlPort] = [await freePort(), await freePort()];
  const dir = mkdtempSync(join(tmpdir(), "fanfare-fake-broker-"));
  const book = join(dir, "book.jsonl");
  const settings: FakeBrokerSettings = { ...kind, port, controlPort, book, seed, windowMs };
  const url = `http://127.0.0.1:${port}`;
  const capabilities: Capabilities = { ...kind, inFlightMs };
  const child: Subprocess<"ignore", "pipe", "inherit"> = Bun.spawn(
    [process.execPath, "tests/fake-broker/main.ts", JSON.stringify(settings)],
    { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    if (text.includes("ready")) break;
  }
  const post = async (to: number, path: string, body: unknown): Promise<unknown> => {
    const reply = await fetch(`http://127.0.0.1:${to}${path}`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    if (reply.status !== 200) throw new Error(`${path} answered ${reply.status}`);
    return await reply.json();
  };
  return {
    port,
    url,
    broker: connectHttp({ name: "fake", url, token: "", capabilities }),
    env: (by = url) => ({
      FANFARE_BROKER: "fake",
      FANFARE_BROKER_URL: by,
      FANFARE_BROKER_CAPABILITIES: JSON.stringify(capabilities),
    }),
    async deposit(accounts, amountCents) {
      await post(controlPort, "/deposits", { accounts, amountCents });
    },
    async balanceOf(account) {
      const { answers } = (await post(port, "/balances", { accounts: [account] })) as {
        answers: [number];
      };
      return answers[0];
    },
    async misbehave(faults) {
      await post(controlPort, "/faults", faults);
    },
    async crowd() {
      return ((await post(controlPort, "/open-calls", {})) as { most: number }).most;
    },
    book: () => readBook(book),
    sales: () => readSales(book),
    async stop() {
      child.kill("SIGKILL");
      await child.exited;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

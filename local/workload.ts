/**
 * `npm run desk:workload -- FILE …`: runs a workload file on a desk. Without
 * `--url` the desk is brought up for it, on temporary data, and taken down
 * afterwards; with one it is what runs there, and where that is `npm start` on
 * this machine nothing else has to be told. Ends as the run does.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { onePrice, pricesOf, type FixedPricesResult } from "./fixed-prices.ts";
import { installRedis } from "./redis-install.ts";
import { readRunning } from "./running.ts";
import { Supervisor } from "./supervisor.ts";
import { workloadServices } from "./workload-services.ts";

const ROOT = join(import.meta.dirname, "..");
const COMMAND = "workers/commands/workload/command.ts";
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

type Settings = Readonly<Record<string, string>>;

process.exit(await main(process.argv.slice(2)));

async function main(words: readonly string[]): Promise<number> {
  const { rest, price, prices } = withoutPrices(words);
  if (rest.some((word) => word === "--url" || word.startsWith("--url="))) {
    if (price !== undefined || prices !== undefined) {
      return refuse("prices can be fixed only where no --url is given");
    }
    const data = resolve(ROOT, process.env["FANFARE_DATA"] ?? ".data");
    const named = process.env["FANFARE_REDIS_URL"] !== undefined;
    return await driven(rest, named ? undefined : readRunning(data));
  }
  if (price !== undefined && prices !== undefined)
    return refuse("--price and --prices exclude each other");
  const fixed = price === undefined ? prices && pricesOf(prices) : onePrice(price);
  if (fixed && !fixed.ok) return refuse(fixed.fault);
  const installed = installRedis((line) => {
    console.error(line);
  });
  return installed.ok ? await onFreshDesk(rest, fixed) : refuse(installed.help);
}

/** The two options that are this command's alone; all others go on to the one that drives. */
function withoutPrices(words: readonly string[]): {
  readonly rest: readonly string[];
  readonly price: string | undefined;
  readonly prices: string | undefined;
} {
  const rest: string[] = [];
  const found: { price?: string; prices?: string } = {};
  for (let index = 0; index < words.length; index += 1) {
    const [, name, value] = /^--(prices?)(?:=(.*))?$/.exec(words[index] ?? "") ?? [];
    if (name === undefined) rest.push(words[index] ?? "");
    else {
      if (value === undefined) index += 1;
      found[name as "price" | "prices"] = value ?? words[index] ?? "";
    }
  }
  return { rest, price: found.price, prices: found.prices };
}

async function onFreshDesk(
  words: readonly string[],
  fixed: FixedPricesResult | undefined | "",
): Promise<number> {
  const data = mkdtempSync(join(tmpdir(), "fanfare-workload-"));
  const prices = fixed && fixed.ok ? join(data, "prices") : undefined;
  if (prices !== undefined && fixed && fixed.ok) writeFileSync(prices, fixed.text);
  const logs = join(data, "logs");
  mkdirSync(logs);
  const services = await workloadServices({ root: ROOT, data, prices });
  const supervisor = new Supervisor({ logs, changed: () => undefined });
  const stopped = new AbortController();
  for (const signal of SIGNALS) process.on(signal, () => stopped.abort());
  try {
    for (const stage of services.stages) {
      const result = await supervisor.start(stage);
      if (stopped.signal.aborted) return 1;
      if (!result.ok) return refuse(result.why, 1);
    }
    return await driven(
      [...words, "--url", services.urls.join(",")],
      services.settings,
      stopped.signal,
    );
  } finally {
    await supervisor.stop();
    rmSync(data, { recursive: true, force: true });
  }
}

async function driven(
  words: readonly string[],
  settings: Settings | undefined,
  stop?: AbortSignal,
): Promise<number> {
  const child = Bun.spawn([process.execPath, "--no-env-file", join(ROOT, COMMAND), ...words], {
    env: { ...process.env, ...settings },
    stdio: ["inherit", "inherit", "inherit"],
  });
  stop?.addEventListener("abort", () => child.kill("SIGTERM"));
  return await child.exited;
}

function refuse(why: string, exitCode = 2): number {
  console.error(why);
  return exitCode;
}

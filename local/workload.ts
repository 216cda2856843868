/**
 * `npm run desk:workload -- FILE …`: runs a workload file on a desk. Without `--url` a desk is
 * started for it, with temporary data, and stopped afterwards. With `--url` it uses the desk that
 * runs there; if that is the desk of `npm start` on this machine, no other option is needed. Exits
 * with the run's exit code.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Command, CommanderError } from "commander";
import { onePrice, readPrices, type FixedPricesResult } from "./fixed-prices.ts";
import { installRedis } from "./redis-install.ts";
import { readRunning } from "./running.ts";
import { Supervisor } from "./supervisor.ts";
import { buildCommand } from "./worker-service.ts";
import { workloadServices } from "./workload-services.ts";

const ROOT = join(import.meta.dirname, "..");
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

type Settings = Readonly<Record<string, string>>;

process.exit(await main(process.argv.slice(2)));

async function main(words: readonly string[]): Promise<number> {
  const own = ownOptions(words);
  if (!own.ok) return refuse(own.fault);
  const { price, prices, url, rest } = own;
  if (url !== undefined) {
    if (price !== undefined || prices !== undefined) {
      return refuse("prices can be fixed only where no --url is given");
    }
    const data = resolve(ROOT, process.env["FANFARE_DATA"] ?? ".data");
    const named = process.env["FANFARE_REDIS_URL"] !== undefined;
    return await driven([...rest, "--url", url], named ? undefined : readRunning(data));
  }
  if (rest.includes("--help") || rest.includes("-h")) return await driven(rest, undefined);
  if (price !== undefined && prices !== undefined)
    return refuse("--price and --prices exclude each other");
  const fixed = price === undefined ? prices && readPrices(prices) : onePrice(price);
  if (fixed && !fixed.ok) return refuse(fixed.fault);
  const installed = installRedis((line) => {
    console.error(line);
  });
  return installed.ok ? await onFreshDesk(rest, fixed) : refuse(installed.help);
}

type OwnOptions =
  | {
      readonly ok: true;
      readonly price?: string;
      readonly prices?: string;
      readonly url?: string;
      /** Options of the command that drives the desk, which reads and explains them. */
      readonly rest: readonly string[];
    }
  | { readonly ok: false; readonly fault: string };

/** The options that decide whether a desk is started, and with which prices. */
function ownOptions(words: readonly string[]): OwnOptions {
  const command = new Command()
    .helpOption(false)
    .allowUnknownOption()
    .allowExcessArguments()
    .option("--price <price>")
    .option("--prices <file>")
    .option("--url <urls>")
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  try {
    command.parse([...words], { from: "user" });
    return { ok: true, ...command.opts<object>(), rest: command.args };
  } catch (error) {
    if (error instanceof CommanderError) return { ok: false, fault: error.message };
    throw error;
  }
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
  const child = Bun.spawn(
    [process.execPath, "--no-env-file", ...buildCommand(ROOT, "desk:workload"), ...words],
    {
      env: { ...process.env, ...settings },
      stdio: ["inherit", "inherit", "inherit"],
    },
  );
  stop?.addEventListener("abort", () => child.kill("SIGTERM"));
  return await child.exited;
}

function refuse(why: string, exitCode = 2): number {
  console.error(why);
  return exitCode;
}

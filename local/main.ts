/**
 * `npm start`: all of Fanfare on one machine, with default settings, until Ctrl-C. Exits with 0
 * after a clean stop, 1 when something did not start, 2 when its settings are wrong.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { listAddresses, addressFault } from "./addresses.ts";
import { readSettings, summarizeSettings, type Settings } from "./env.ts";
import { demoToken, openKeys } from "./keys.ts";
import { noteProcesses, stopLeftovers } from "./leftovers.ts";
import { takeLock } from "./lock.ts";
import { preparePage } from "./page.ts";
import { freePorts } from "./ports.ts";
import type { StartResult } from "./process.ts";
import { installRedis } from "./redis-install.ts";
import { prepareRedis } from "./redis.ts";
import { forgetRunning, noteRunning } from "./running.ts";
import { Screen } from "./screen.ts";
import { INTERNAL_PORTS, listServices } from "./services.ts";
import { Supervisor } from "./supervisor.ts";

const ROOT = join(import.meta.dirname, "..");
/** One Ctrl-C may arrive twice: from the terminal, and passed on by npm. */
const SAME_SIGNAL_MS = 500;

const screen = new Screen(process.stdout);
const say = (line: string): void => {
  screen.say(line);
};

function fail(message: string, exitCode = 1): never {
  console.error(message);
  process.exit(exitCode);
}

const read = readSettings(process.env, ROOT);
if (!read.ok) fail(read.faults.map((each) => `configuration: ${each}`).join("\n"), 2);
process.exit(await main(read.value));

async function main(settings: Settings): Promise<number> {
  const { host, port, data, durability } = settings;
  const startedMs = performance.now();
  say(`Fanfare: ${summarizeSettings(settings)}`);
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const lock = takeLock(data);
  if (!lock.ok) fail(`Fanfare already runs on ${data} (process ${lock.pid}).`);
  if (lock.afterCrash) await stopLeftovers(data, say);
  const fault = await addressFault(host, port);
  if (fault) {
    lock.release();
    fail(fault.message, fault.exitCode);
  }
  const installed = installRedis(say);
  if (!installed.ok) {
    lock.release();
    fail(installed.help);
  }

  const keys = await openKeys(data);
  const redis = await prepareRedis({ data, durability, password: keys.redisPassword });
  const services = listServices({
    root: ROOT,
    settings,
    keys,
    redis,
    ports: await freePorts([port, redis.port], ...INTERNAL_PORTS),
  });
  const logs = join(data, "logs");
  mkdirSync(logs, { recursive: true });
  const supervisor = new Supervisor({
    logs,
    changed(statuses) {
      noteProcesses(data, statuses);
      screen.show(statuses);
    },
  });
  const stopped = stopAtSignal(supervisor);

  async function start(): Promise<StartResult> {
    const page = preparePage(ROOT, say);
    for (const stage of [[redis.service], ...services.stages]) {
      const result = await supervisor.start(stage);
      if (!result.ok) return result;
    }
    const seeded = join(data, "seeded");
    if (!existsSync(seeded)) {
      say("First run: seeding the demo provider, channel, followers and day trader …");
      const result = await supervisor.runOnce(services.seed);
      if (!result.ok) return result;
      writeFileSync(seeded, "");
    }
    const checked = await supervisor.runOnce(services.roster);
    if (!checked.ok) return checked;
    return await supervisor.start([services.edge(await page)]);
  }

  const result = await Promise.race([start(), stopped.then(() => "stopped" as const)]);
  if (result !== "stopped" && result.ok) {
    noteRunning(data, services.settings);
    say(
      await invitation({
        ...listAddresses(host, port),
        logs,
        token: await demoToken(keys, "demo-provider", Date.now()),
        traderToken: await demoToken(keys, "daytrader", Date.now()),
        password: keys.demoPassword,
        seconds: (performance.now() - startedMs) / 1000,
      }),
    );
    await stopped;
  } else if (result !== "stopped" && result.why !== "stopping") {
    say(result.why);
    await supervisor.stop();
    lock.release();
    return 1;
  }
  await stopped;
  forgetRunning(data);
  lock.release();
  say("Stopped.");
  return 0;
}

/**
 * Resolves when a signal has stopped everything; a second signal does not wait for work in
 * progress.
 */
async function stopAtSignal(supervisor: Supervisor): Promise<void> {
  await new Promise<void>((resolve) => {
    let firstMs: number | undefined;
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.on(signal, () => {
        const nowMs = performance.now();
        if (firstMs === undefined) {
          firstMs = nowMs;
          say("Stopping … (once more to hurry)");
          void supervisor.stop().then(resolve);
        } else if (nowMs - firstMs > SAME_SIGNAL_MS) {
          void supervisor.stop();
        }
      });
    }
  });
}

async function invitation(facts: {
  home: string;
  elsewhere: readonly string[];
  logs: string;
  token: string;
  traderToken: string;
  password: string;
  seconds: number;
}): Promise<string> {
  const { home, elsewhere } = facts;
  const network = elsewhere.map((each) => `\n  in the network ${each}`).join("");
  const signal = {
    channel: "demo",
    symbol: "EUR/USD",
    contract: "CALL",
    stakeCents: 500,
    durationSeconds: 10,
  };
  const lines = [
    "[1] QUOTE,daytrader,ABC",
    "[2] BUY,daytrader,ABC,500.00",
    "[3] COMMIT_BUY,daytrader",
  ];
  return `
Ready in ${facts.seconds.toFixed(1)} s: ${home}${network}
  sign in with   demo@fanfare.local   ${facts.password}
  as day trader  trader@fanfare.local   ${facts.password}
  API document   ${home}/openapi.json
  logs           ${facts.logs}

Send a signal to the demo channel's thousand followers (its token is good for 12 hours):
curl -sS ${home}/v1/signals -H 'authorization: Bearer ${facts.token}' -H 'content-type: application/json' -H "idempotency-key: try-$(date +%s%N)" -d '${JSON.stringify(signal)}'

Trade at the desk as its day trader (prices are simulated; orders wait a minute for their commit):
curl -sS ${home}/v1/desk/commands -H 'authorization: Bearer ${facts.traderToken}' -H 'content-type: text/plain' --data-binary '${lines.join("\n")}'
`;
}

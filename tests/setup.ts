/**
 * Runs before every test, so that plain `bun test` on a fresh clone does what `npm test` does:
 * installs the packages and redis-server if they are missing. Until that is done only built-ins can
 * be imported. At the end it reports the suites that could not run.
 */
import { afterAll } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { BUN, installPackages } from "../local/packages.mjs";
import { installRedis } from "../local/redis-install.ts";
import { notRun } from "./support/needs.ts";

const installed = install();
if (!installed.ok) {
  console.error(installed.help);
  process.exit(1);
}
if (installed.packages) startAgain();

afterAll(() => {
  const line = notRun();
  if (line === undefined) return;
  if (process.env["CI"] === "true") throw new Error(`${line}; in CI nothing may be missing`);
  console.error(`\n${line}`);
});

function install() {
  try {
    const packages = installPackages({ development: true });
    const redis = installRedis((line) => {
      console.error(line);
    });
    return redis.ok ? ({ ok: true, packages } as const) : redis;
  } catch (error) {
    return { ok: false, help: error instanceof Error ? error.message : "" } as const;
  }
}

/** This process looked for node_modules before it existed, and has cached that. */
function startAgain(): never {
  // Bun does not give a test its arguments; Linux does.
  if (!existsSync("/proc/self/cmdline")) {
    console.error("The packages are installed now. Start `bun test` once more.");
    process.exit(1);
  }
  const [, ...args] = readFileSync("/proc/self/cmdline", "utf8").split("\0").slice(0, -1);
  process.exit(spawnSync(BUN, args, { stdio: "inherit" }).status ?? 1);
}

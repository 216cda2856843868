/**
 * Runs before every test, so that plain `bun test` on a fresh clone does what
 * `npm test` does: installs the packages and redis-server if they are missing.
 * Until that is done only built-ins can be imported. At the end it tells what
 * could not be run.
 */
import { afterAll } from "bun:test";
import { installPackages } from "../local/packages.mjs";
import { installRedis } from "../local/redis-install.ts";
import { notRun } from "./support/needs.ts";

const redis = installAll();
if (!redis.ok) {
  console.error(redis.help);
  process.exit(1);
}

afterAll(() => {
  const line = notRun();
  if (line === undefined) return;
  if (process.env["CI"] === "true") throw new Error(`${line}; in CI nothing may be missing`);
  console.error(`\n${line}`);
});

function installAll() {
  try {
    installPackages({ development: true });
  } catch (error) {
    return { ok: false, help: error instanceof Error ? error.message : "" } as const;
  }
  return installRedis((line) => {
    console.error(line);
  });
}

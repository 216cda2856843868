/**
 * `bun local/command.ts <command> [words]`: runs a command of the workers with the settings of the
 * system that `npm start` runs on this machine, unless the environment names a Redis. Exits with
 * the command's exit code.
 */
import { join, resolve } from "node:path";
import { readRunning } from "./running.ts";
import { buildCommand } from "./worker-service.ts";

const ROOT = join(import.meta.dir, "..");
const [command, ...words] = process.argv.slice(2);
if (command === undefined) {
  console.error("usage: bun local/command.ts <command> [words]");
  process.exit(2);
}
const data = resolve(ROOT, process.env["FANFARE_DATA"] ?? ".data");
const running = process.env["FANFARE_REDIS_URL"] === undefined ? readRunning(data) : undefined;
const child = Bun.spawn(
  [process.execPath, "--no-env-file", ...buildCommand(ROOT, command), ...words],
  {
    env: { ...process.env, ...running },
    stdin: "inherit",
    stdout: "inherit",
    stderr: "inherit",
  },
);
process.exit(await child.exited);

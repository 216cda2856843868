/**
 * `bun local/command.ts <module> [words]`: runs a command of the workers with
 * the settings of what `npm start` runs on this machine, unless the
 * environment names a Redis itself. Ends as the command does.
 */
import { join, resolve } from "node:path";
import { readRunning } from "./running.ts";

const ROOT = join(import.meta.dir, "..");
const [module, ...words] = process.argv.slice(2);
if (module === undefined) {
  console.error("usage: bun local/command.ts <module> [words]");
  process.exit(2);
}
const data = resolve(ROOT, process.env["FANFARE_DATA"] ?? ".data");
const running = process.env["FANFARE_REDIS_URL"] === undefined ? readRunning(data) : undefined;
const command = [process.execPath, "--no-env-file", join(ROOT, module), ...words];
const child = Bun.spawn(command, {
  env: { ...process.env, ...running },
  stdin: "inherit",
  stdout: "inherit",
  stderr: "inherit",
});
process.exit(await child.exited);

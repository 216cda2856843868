/**
 * `npm start`, `npm test`, `npm run test:crash`, `npm run bench` and `npm run desk:workload` on a
 * machine that has nothing but Node and npm (or Bun): installs missing packages, then starts Bun.
 * Signals are passed on to Bun, and its exit code is returned. (The scripts begin with `exec`: a
 * shell in between would keep npm's signals to itself.)
 */
import { spawn } from "node:child_process";
import { BUN, installPackages, ROOT } from "./packages.mjs";

const [task, ...rest] = process.argv.slice(2);
// No test guarantees a speed. A test that takes this long hangs, even on a busy machine.
const TEST_TIMEOUT_MS = "30000";
const tasks = new Map(
  Object.entries({
    start: ["local/main.ts", ...rest],
    test: ["test", "--timeout", TEST_TIMEOUT_MS, ...rest],
    crash: ["tests/crash/main.ts", ...rest],
    bench: ["bench/main.ts", ...rest],
    workload: ["local/workload.ts", ...rest],
  }),
);
const args = tasks.get(task);
if (!args) {
  console.error("usage: bootstrap.mjs start|test|crash|bench|workload");
  process.exit(2);
}

try {
  installPackages({ development: task !== "start" && task !== "workload" });
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

const child = spawn(BUN, args, { cwd: ROOT, stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
// A killed npm sends no signal; the processes that it started must not outlive it.
if (process.env.npm_lifecycle_event) {
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && child.kill("SIGTERM"), 500).unref();
}
child.on("error", () => {
  console.error(`${BUN} could not be run`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  if (signal === null) process.exit(code);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});

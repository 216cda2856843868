/**
 * `npm run check`: format, lint, types, import boundaries and dead code, two at a time. Prints one
 * line for each check, with its time, and a check's output only if it fails. `npm run check lint
 * types` runs only these two.
 */
import { spawn } from "bun";

const CHECKS: Record<string, readonly string[]> = {
  types: ["tsc", "--noEmit", "-p", "."],
  "app types": ["vue-tsc", "--noEmit", "-p", "app"],
  boundaries: ["depcruise", "--config", ".dependency-cruiser.mjs", "--output-type", "err", "."],
  lint: ["oxlint", "--type-aware", "--deny-warnings"],
  format: ["prettier", "--check", "--log-level", "warn", "--cache", "."],
  "dead code": ["knip", "--no-progress"],
};

const AT_A_TIME = 2;

async function runCheck(name: string, command: readonly string[]): Promise<boolean> {
  const startedAt = performance.now();
  const [tool = "", ...args] = command;
  const child = spawn([`node_modules/.bin/${tool}`, ...args], {
    stdout: "pipe",
    stderr: "pipe",
    // Some of these tools need a newer Node than the system may have.
    env: { ...process.env, PATH: `node_modules/.bin:${process.env["PATH"] ?? ""}`, NO_COLOR: "1" },
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(`${code === 0 ? "✓" : "✗"} ${name} ${seconds} s`);
  if (code !== 0) console.log(`${out}${err}`.trimEnd());
  return code === 0;
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(CHECKS, name));
if (unknown.length > 0) {
  console.error(
    `no such check: ${unknown.join(", ")}; there are ${Object.keys(CHECKS).join(", ")}`,
  );
  process.exit(2);
}

const waiting = Object.entries(CHECKS).filter(
  ([name]) => wanted.length === 0 || wanted.includes(name),
);
const failed: string[] = [];
await Promise.all(
  Array.from({ length: AT_A_TIME }, async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      if (!(await runCheck(...next))) failed.push(next[0]);
    }
  }),
);
console.log(failed.length === 0 ? "all checks passed" : `failed: ${failed.join(", ")}`);
process.exit(failed.length === 0 ? 0 : 1);

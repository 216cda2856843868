/**
 * `npm run test:sim -- --seeds N --from S` runs N seeds from S on and prints how many a second. A
 * seed that breaks a promise is shown with its trace, and the exit code is 1; `--from S --seeds 1
 * --trace` shows any seed's.
 */
import { parseArgs } from "node:util";
import { runSeed } from "./world.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    hashes: { type: "boolean", default: false },
    trace: { type: "boolean", default: false },
    "keep-going": { type: "boolean", default: false },
  },
});

function runAll(): number {
  const from = Number(values.from);
  const seeds = Number(values.seeds);
  const startedAt = performance.now();
  const failed: number[] = [];
  let lost = 0;
  let late = 0;
  for (let seed = from; seed < from + seeds; seed += 1) {
    const result = runSeed(seed, values.trace);
    lost += result.lost.length;
    late += result.late.length;
    if (values.hashes) console.log(result.hash);
    if (values.trace) console.log(result.trace.join("\n"));
    if (result.faults.length === 0) continue;
    failed.push(seed);
    if (values["keep-going"]) {
      console.log(`seed ${seed}: ${result.faults[0]}`);
      continue;
    }
    if (!values.trace) console.log(runSeed(seed, true).trace.join("\n"));
    console.log(`seed ${seed} breaks a promise:\n  ${result.faults.join("\n  ")}`);
    return 1;
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  console.log(
    `${seeds} seeds in ${seconds.toFixed(1)} s, ${(seeds / seconds).toFixed(0)} a second; ` +
      `${lost} lost with a Redis' tail, ${late} orders opened late where nothing enforces the deadline`,
  );
  if (failed.length > 0)
    console.log(`broken: ${failed.length} seeds: ${failed.slice(0, 20).join(", ")}`);
  return failed.length > 0 ? 1 : 0;
}

// From a macrotask, see `Scheduler`.
setImmediate(() => {
  process.exit(runAll());
});

/** A short run of the simulation, and its basis: the same seed always gives the same run. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { runSeed } from "./world.ts";

setDefaultTimeout(60_000);

const SEEDS = 150;
/** A slow machine runs fewer. */
const ENOUGH_MS = 8_000;

/** From a macrotask, see `Scheduler`. */
function inMacrotask<T>(run: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(run());
      } catch (error) {
        reject(error as Error);
      }
    });
  });
}

test("keeps every promise when parts die, hang, restart or do not answer", async () => {
  const startedAt = performance.now();
  for (let seed = 1; seed <= SEEDS && performance.now() - startedAt < ENOUGH_MS; seed += 1) {
    const { faults } = await inMacrotask(() => runSeed(seed));
    expect([seed, ...faults]).toEqual([seed]);
  }
});

test("gives the same run for the same seed, in this process and in another", async () => {
  const seeds = [1, 2, 3];
  const hashes = await inMacrotask(() => seeds.map((seed) => runSeed(seed).hash));
  const again = await inMacrotask(() => seeds.toReversed().map((seed) => runSeed(seed).hash));
  expect(again.toReversed()).toEqual(hashes);
  expect(new Set(hashes).size).toBe(seeds.length);
  const other = Bun.spawnSync([process.execPath, "tests/sim/main.ts", "--seeds", "3", "--hashes"]);
  expect(other.stdout.toString().split("\n").slice(0, 3)).toEqual(hashes);
});

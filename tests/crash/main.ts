/**
 * `npm run test:crash -- --rounds N --seed S`: N rounds of disasters on real processes, the same
 * for the same seed. `--from R` starts at a later round, `--cluster` plays all of them on a
 * cluster. Prints each round and its result; exits with 1 if any verdict is bad.
 */
import { parseArgs } from "node:util";
import { installRedis } from "../../local/redis-install.ts";
import { startMongo } from "../support/mongo.ts";
import { notRun } from "../support/needs.ts";
import { equipmentWith } from "./disaster.ts";
import { drawPlan, type Plan } from "./plan.ts";
import { playRound } from "./round.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "20" },
    seed: { type: "string", default: "1" },
    from: { type: "string", default: "1" },
    cluster: { type: "boolean", default: false },
  },
});
const [rounds, seed, from] = [values.rounds, values.seed, values.from].map(Number) as [
  number,
  number,
  number,
];
if (![rounds, seed, from].every((each) => Number.isSafeInteger(each) && each > 0)) {
  console.error(
    "usage: test:crash -- [--rounds N] [--seed S] [--from R] [--cluster], whole numbers above 0",
  );
  process.exit(2);
}

const redis = installRedis((line) => {
  console.error(line);
});
if (!redis.ok) {
  console.error(redis.help);
  process.exit(2);
}

function describePlan({
  store,
  durability,
  broker,
  faults,
  durationSeconds,
  disaster,
}: Plan): string {
  const { kind, ...details } = disaster;
  const on = store === "redis" ? durability : store;
  const terms = `${broker.deduplicates}, ${broker.lookUp}, ${broker.validUntil}`;
  return `${kind} ${JSON.stringify(details)}; ${on}; broker: ${terms}, ${durationSeconds} s, ${JSON.stringify(faults)}`;
}

const mongo = await startMongo();
const equipment = equipmentWith(mongo);
const missing = notRun();
if (missing !== undefined) console.log(missing);
const startedAt = performance.now();
const bad: number[] = [];
let exceptions = 0;
const totals: Record<string, number> = {};
for (let round = from; round < from + rounds; round += 1) {
  const plan = drawPlan(seed, round, equipment, { cluster: values.cluster });
  console.log(`round ${round}: ${describePlan(plan)}`);
  const verdict = await playRound(plan, seed, equipment);
  for (const [word, count] of Object.entries(verdict.counts)) {
    totals[word] = (totals[word] ?? 0) + count;
  }
  exceptions += verdict.exceptions.length;
  console.log(
    `  ${verdict.faults.length === 0 ? "holds" : "BROKEN"}: ${JSON.stringify(verdict.counts)}`,
  );
  for (const each of verdict.exceptions.slice(0, 3)) console.log(`  exception: ${each}`);
  if (verdict.exceptions.length > 3) console.log(`  and ${verdict.exceptions.length - 3} more`);
  for (const each of verdict.faults) console.log(`  FAULT: ${each}`);
  if (verdict.faults.length > 0) bad.push(round);
}
const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1);
console.log(
  `${rounds} rounds from ${from} of seed ${seed} in ${minutes} min: ${JSON.stringify(totals)}, ${exceptions} named exceptions`,
);
await mongo?.stop();
console.log(bad.length === 0 ? "every promise holds" : `broken in rounds ${bad.join(", ")}`);
process.exit(bad.length === 0 ? 0 : 1);

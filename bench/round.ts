/** One fan-out, measured from its acceptance; the verdict is read from the desk's own books. */
import type { SignalId } from "../domain/ids.ts";
import { DeskKeys, RegionKeys } from "../redis/keys.ts";
import { PARTITIONS, readBooks, type Copier } from "../tests/support/copier.ts";
import { readEvents } from "../tests/support/copier.ts";
import { until } from "../tests/support/wait.ts";
import { quantile } from "./figures.ts";
import { redisCpuMs } from "./machine.ts";

export interface Round {
  /** The fewer of those that the outcomes call placed and those that stand on the desk's books. */
  readonly placed: number;
  readonly firstMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly lastMs: number;
  readonly redisCpuMs: number;
}

/** Far longer than any measurement: no contract settles in the middle of one. */
const DURATION_SECONDS = 86_400;

export async function fanOutOnce(copier: Copier): Promise<Round> {
  const { redis } = copier;
  const cpuBefore = await redisCpuMs(redis);
  const id = await copier.send({ durationSeconds: DURATION_SECONDS });
  await until(
    "every follower has an outcome",
    async () => (await copier.progress(id)).status === "complete",
    600_000,
  );
  const cpuMs = (await redisCpuMs(redis)) - cpuBefore;
  const answered: number[] = [];
  let told = 0;
  for (const event of await readEvents(redis, id)) {
    for (const [, , { kind }] of event.copies) {
      if (kind === "placed") told += 1;
      answered.push((event.answeredAtMs ?? Number.NaN) - event.acceptedAtMs);
    }
  }
  const books = await readBooks(redis, id);
  await forget(copier, id);
  return {
    placed: Math.min(told, books.contracts.size),
    firstMs: quantile(answered, 0),
    p50Ms: quantile(answered, 0.5),
    p99Ms: quantile(answered, 0.99),
    lastMs: quantile(answered, 1),
    redisCpuMs: cpuMs,
  };
}

/** Takes away what a round leaves behind, so that the rounds are alike and memory does not grow. */
async function forget({ redis }: Copier, id: SignalId): Promise<void> {
  for (const partition of PARTITIONS.all()) {
    const desk = new DeskKeys(partition);
    await redis.send("UNLINK", [desk.contracts(id), desk.expiries]);
    await redis.send("XTRIM", [new RegionKeys(partition).events, "MAXLEN", "0"]);
  }
}

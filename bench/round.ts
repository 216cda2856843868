/** One fan-out, measured from its acceptance; the result is read from the desk's own books. */
import type { SignalId } from "../domain/ids.ts";
import { RegionKeys } from "../redis/keys.ts";
import { DeskKeys } from "../workers/desk/stored/keys.ts";
import { PARTITIONS, readBooks, readEvents, type Copier } from "../tests/support/copier.ts";
import type { Redis } from "../workers/runtime/redis.ts";
import { quantile, showProgress } from "./figures.ts";
import { redisCpuMs } from "./machine.ts";

export interface Round {
  /** The smaller of two numbers: placed by the outcomes, and on the desk's books. */
  readonly placed: number;
  readonly firstMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly lastMs: number;
  readonly redisCpuMs: number;
}

/** Far longer than any measurement: no contract settles in the middle of one. */
const DURATION_SECONDS = 86_400;

async function fanOutOnce(copier: Copier): Promise<Round> {
  const { redis } = copier;
  const cpuBefore = await redisCpuMs(redis);
  const id = await copier.send({ durationSeconds: DURATION_SECONDS });
  await copier.complete(id, 600_000);
  const cpuMs = (await redisCpuMs(redis)) - cpuBefore;
  const { placed, afterMs } = await readAnswers(redis, id);
  await forget(copier, [id]);
  return {
    placed,
    firstMs: quantile(afterMs, 0),
    p50Ms: quantile(afterMs, 0.5),
    p99Ms: quantile(afterMs, 0.99),
    lastMs: quantile(afterMs, 1),
    redisCpuMs: cpuMs,
  };
}

/** Runs this many fan-outs, one after the other. A first one warms up and is not returned. */
export async function fanOutRounds(
  copier: Copier,
  rounds: number,
  title: string,
  afterEach = (): void => {},
): Promise<Round[]> {
  const measured: Round[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    showProgress(`${title}: fan-out ${round} of ${rounds}`);
    const each = await fanOutOnce(copier);
    afterEach();
    if (round > 0) measured.push(each);
  }
  return measured;
}

export interface Answers {
  /** The fewer of those that the outcomes call placed and those that stand on the desk's books. */
  readonly placed: number;
  /** Copies by their outcomes, such as `skipped: TOO_LATE`. */
  readonly outcomes: ReadonlyMap<string, number>;
  /** For each order that the broker answered: the time after the signal's acceptance. */
  readonly afterMs: readonly number[];
}

export async function readAnswers(redis: Redis, id: SignalId): Promise<Answers> {
  const afterMs: number[] = [];
  const outcomes = new Map<string, number>();
  for (const { copies, answeredAtMs, acceptedAtMs } of await readEvents(redis, id)) {
    for (const [, , outcome] of copies) {
      const name = "reason" in outcome ? `${outcome.kind}: ${outcome.reason}` : outcome.kind;
      outcomes.set(name, (outcomes.get(name) ?? 0) + 1);
      if (outcome.kind !== "skipped" && answeredAtMs !== null) {
        afterMs.push(answeredAtMs - acceptedAtMs);
      }
    }
  }
  const books = await readBooks(redis, id);
  const placed = Math.min(outcomes.get("placed") ?? 0, books.contracts.size);
  return { placed, outcomes, afterMs };
}

/** Removes the data of a round, so that the rounds are alike and memory does not grow. */
export async function forget({ redis }: Copier, ids: readonly SignalId[]): Promise<void> {
  for (const partition of PARTITIONS.all()) {
    const desk = new DeskKeys(partition);
    await redis.send("UNLINK", [...ids.map((id) => desk.contracts(id)), desk.expiries]);
    // If a recorder runs, it trims these.
    for (const stream of [new RegionKeys(partition).events, desk.audit]) {
      await redis.send("XTRIM", [stream, "MAXLEN", "0"]);
    }
  }
}

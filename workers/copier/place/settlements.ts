/**
 * Follows a broker's settlements and puts them onto the events of their
 * accounts' partitions. One worker at a time does it, by a lease; the cursor
 * moves after the events are written, so one may be written twice and none is
 * missed: the recorder takes them idempotently. Cursor and events may stand on
 * different nodes, and one that takes over for another may not have been told of
 * the last events: so whenever a partition's Redis is another than it was, they
 * are taken over again from well before.
 */
import { getLogger } from "@logtape/logtape";
import { dayOf } from "../../../domain/copier/caps.ts";
import type { SettlementsEvent } from "../stored/events.ts";
import { RegionKeys, type PartitionMap } from "../../../redis/keys.ts";
import { runSince } from "../stored/run.ts";
import { settleUsage } from "../stored/caps.ts";
import type { Broker, Settlement } from "../brokers/port.ts";
import { nameOf } from "../../../http/place.ts";
import { crashPoint } from "../../runtime/crash-point.ts";
import { run, type Redis } from "../../runtime/redis.ts";

export interface SettlementFollower {
  readonly redis: Redis;
  readonly broker: Broker;
  readonly partitions: PartitionMap;
  /** This worker's name. */
  readonly consumer: string;
  readonly stop: AbortSignal;
}

const LEASE_MS = 10_000;
const PAUSE_MS = 500;

export async function followSettlements(parts: SettlementFollower): Promise<void> {
  const { broker, stop } = parts;
  const log = getLogger(["fanfare", "settlements"]).with({ broker: broker.name });
  while (!stop.aborted) {
    try {
      const moved = (await holdLease(parts)) && (await takeOver(parts));
      if (!moved) await Bun.sleep(PAUSE_MS);
    } catch (error) {
      log.warn("settlements could not be taken over, trying again: {error}", {
        error: nameOf(error),
      });
      await Bun.sleep(PAUSE_MS);
    }
  }
}

async function holdLease({ redis, broker, consumer }: SettlementFollower): Promise<boolean> {
  const key = `${new RegionKeys(0).settlementCursor(broker.name)}:lease`;
  const options = ["PX", String(LEASE_MS)];
  if ((await redis.send("SET", [key, consumer, "NX", ...options])) !== null) {
    crashPoint("after-lease");
    return true;
  }
  if ((await redis.send("GET", [key])) !== consumer) return false;
  await redis.send("PEXPIRE", [key, String(LEASE_MS)]);
  return true;
}

/** A cursor that is at least this old, for what a replica was not told of. */
const RETREAT_MS = 60_000;

interface Retreat {
  /** Since when each partition's Redis runs, as of the last take-over. */
  readonly runs: string;
  readonly cursor: string;
  /** What comes in its place once this is old enough, and since when it stands here. */
  readonly next: string;
  readonly nextAtMs: number;
}

/** Where to go on from, and what to remember once that is done. */
async function startOf({ redis, broker, partitions }: SettlementFollower): Promise<{
  readonly after: string;
  readonly retreat: Retreat;
  readonly isMoved: boolean;
}> {
  const region = new RegionKeys(0);
  const [cursor, text, ...since] = await Promise.all([
    redis.send("GET", [region.settlementCursor(broker.name)]) as Promise<string | null>,
    redis.send("GET", [region.settlementRetreat(broker.name)]) as Promise<string | null>,
    ...partitions.all().map((partition) => run(redis, runSince, { partition })),
  ]);
  const [runs, now, after] = [since.join(), Date.now(), cursor ?? ""];
  const fresh = { runs, next: after, nextAtMs: now };
  const known = text === null ? { ...fresh, runs: "", cursor: "" } : (JSON.parse(text) as Retreat);
  if (known.runs !== runs) {
    return { after: known.cursor, retreat: { ...known, runs }, isMoved: true };
  }
  if (now < known.nextAtMs + RETREAT_MS) return { after, retreat: known, isMoved: false };
  return { after, retreat: { ...fresh, cursor: known.next }, isMoved: true };
}

/** Whether the broker answered; it waits itself while there is nothing new. */
async function takeOver(parts: SettlementFollower): Promise<boolean> {
  const { redis, broker, partitions, stop } = parts;
  const region = new RegionKeys(0);
  const { after, retreat, isMoved } = await startOf(parts);
  const reply = await broker.settlements(after, stop);
  if (reply.kind === "unanswered") return false;
  const { next, settlements } = reply.answers;
  const groups = Map.groupBy(settlements, ({ account }) => partitions.ofAccount(account));
  for (const [partition, group] of groups) {
    // Before the event: whoever reads of a settlement finds its part of the caps free again.
    await run(redis, settleUsage, {
      partition,
      broker: broker.name,
      settled: group.map(settledOf),
    });
    const event: SettlementsEvent = {
      kind: "settlements",
      broker: broker.name,
      settlements: group.map(withoutAccount),
    };
    await redis.send("XADD", [
      new RegionKeys(partition).events,
      "*",
      "event",
      JSON.stringify(event),
    ]);
    crashPoint("after-settlement");
  }
  if (next !== after) {
    await redis.send("SET", [region.settlementCursor(broker.name), next]);
    crashPoint("after-cursor");
  }
  // Last: whoever dies before it goes back once more.
  if (isMoved) {
    await redis.send("SET", [region.settlementRetreat(broker.name), JSON.stringify(retreat)]);
  }
  return true;
}

function settledOf({ clientOrderId, returnCents, settledAtMs }: Settlement) {
  return { clientOrderId, returnCents, day: dayOf(settledAtMs) };
}

function withoutAccount({ account: _, ...rest }: Settlement): Omit<Settlement, "account"> {
  return rest;
}

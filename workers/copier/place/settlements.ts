/**
 * Follows a broker's settlements and adds them to the events of their accounts'
 * partitions. A lease lets one worker at a time do it. The cursor is written after
 * the events, so one may be written twice and none is missed; the recorder handles
 * repetitions. Cursor and events may be on different nodes, and a node that takes
 * over may not have received the last events. So whenever a partition's Redis has
 * a new run, settlements are read again from well before.
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

/**
 * A cursor at least this old is used after a failover, for events that a replica
 * did not receive.
 */
const RETREAT_MS = 60_000;

interface Retreat {
  /** Since when each partition's Redis runs, at the last read. */
  readonly runs: string;
  readonly cursor: string;
  /** The cursor that replaces it once this one is old enough, and since when it is stored. */
  readonly next: string;
  readonly nextAtMs: number;
}

/** Where to continue, and what to store when that is done. */
async function readStart({ redis, broker, partitions }: SettlementFollower): Promise<{
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

/** Returns whether the broker answered. The broker itself waits while there is nothing new. */
async function takeOver(parts: SettlementFollower): Promise<boolean> {
  const { redis, broker, partitions, stop } = parts;
  const region = new RegionKeys(0);
  const { after, retreat, isMoved } = await readStart(parts);
  const reply = await broker.settlements(after, stop);
  if (reply.kind === "unanswered") return false;
  const { next, settlements } = reply.answers;
  const groups = Map.groupBy(settlements, ({ account }) => partitions.ofAccount(account));
  for (const [partition, group] of groups) {
    // Before the event, so that a reader of a settlement finds its part of the caps free again.
    await run(redis, settleUsage, {
      partition,
      broker: broker.name,
      settled: group.map(packSettlement),
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
  // Last: a worker that dies before it goes back once more.
  if (isMoved) {
    await redis.send("SET", [region.settlementRetreat(broker.name), JSON.stringify(retreat)]);
  }
  return true;
}

function packSettlement({ clientOrderId, returnCents, settledAtMs }: Settlement) {
  return { clientOrderId, returnCents, day: dayOf(settledAtMs) };
}

function withoutAccount({ account: _, ...rest }: Settlement): Omit<Settlement, "account"> {
  return rest;
}

/**
 * Membership under churn, compared with a simple model: after any joins, leaves,
 * rejoins and deletions, a job that names a shard and a version finds exactly the
 * members of that version.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { asId, type AccountId, type ChannelId, type PersonId } from "../../../domain/ids.ts";
import type { SubscriptionId } from "../../../domain/ids.ts";
import type { Subscription } from "../../../domain/copier/subscription.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { parseRosterShard, wasSeated } from "../stored/roster.ts";
import { prune } from "./prune.ts";
import { seat } from "./seat.ts";
import { openRedis } from "../../../tests/support/own-redis.ts";
import { run } from "../../runtime/redis.ts";

setDefaultTimeout(60_000);

const { redis } = await openRedis();

const SIZE = 4;
const roster = { partition: 0, broker: "desk", channel: asId<ChannelId>("demo") };
const keys = new RegionKeys(0);
const HEAD = keys.rosterHead(roster.channel, roster.broker);
const SEATS = keys.rosterSeats(roster.channel, roster.broker);

function subscription(id: string, version: number, state: Subscription["state"]): Subscription {
  return {
    id: asId<SubscriptionId>(id),
    channel: roster.channel,
    follower: asId<PersonId>("someone"),
    account: asId<AccountId>(`acct-${id}`),
    broker: roster.broker,
    region: "local",
    state,
    expiresAtMs: 4_000_000_000_000,
    plan: { sizing: { kind: "fixed", stakeCents: 100 } },
    version,
  };
}

/** A simple model of the rules. */
class Model {
  readonly #versions = new Map<string, number>();
  readonly #seated = new Set<string>();
  /** What a job may name: shard, version, members. */
  snapshots: { readonly shard: number; readonly version: number; readonly members: string[] }[] =
    [];
  readonly #noted = new Map<number, number>();
  readonly routed = new Map<number, number>();

  async change(changes: readonly { readonly id: string; readonly leave: boolean }[]) {
    const subscriptions = changes.map(({ id, leave }) => {
      const version = (this.#versions.get(id) ?? 0) + 1;
      this.#versions.set(id, version);
      if (leave) this.#seated.delete(id);
      else this.#seated.add(id);
      return subscription(id, version, leave ? "left" : "active");
    });
    await this.#seat(subscriptions);
  }

  /** A late update that says the opposite of the current state. */
  async overtaken(id: string): Promise<void> {
    const version = this.#versions.get(id);
    // A subscription whose row is deleted has no version, so no update is older.
    if (version === undefined || (await redis.send("HGET", [SEATS, id])) === null) return;
    await this.#seat([subscription(id, version, this.#seated.has(id) ? "left" : "active")]);
  }

  async #seat(subscriptions: readonly Subscription[]): Promise<void> {
    const { shards } = await run(redis, seat, { ...roster, subscriptions, shardSize: SIZE });
    const seats = (await redis.send("HGETALL", [SEATS])) as Record<string, string>;
    for (const { shard, version, count } of shards) {
      const members = [...this.#seated]
        .filter((id) => Number(seats[id] ?? -1) === shard)
        .toSorted();
      expect(members).toHaveLength(count);
      this.snapshots.push({ shard, version, members });
      this.routed.set(shard, version);
    }
    for (const id of this.#seated) expect(seats[id]).toBeDefined();
  }

  async prune(): Promise<void> {
    for (const [shard, routed] of this.routed) {
      await run(redis, prune, { ...roster, shard, routed, keptMs: 0 });
      const below = this.#noted.get(shard);
      this.#noted.set(shard, routed);
      if (below === undefined) continue;
      this.snapshots = this.snapshots.filter(
        (each) => each.shard !== shard || each.version >= below,
      );
    }
  }

  async check(): Promise<void> {
    const shards = Map.groupBy(this.snapshots, ({ shard }) => shard);
    for (const [shard, snapshots] of shards) {
      const members = await readShard(shard);
      expect(members.length).toBeLessThanOrEqual(1.75 * SIZE);
      for (const { version, members: expected } of snapshots) {
        const found = members.filter((each) => wasSeated(each, version));
        expect(found.map((each) => each.subscription as string).toSorted()).toEqual(expected);
      }
    }
  }
}

async function readShard(shard: number) {
  const key = keys.rosterShard(roster.channel, roster.broker, shard);
  const rows = (await redis.send("HGETALL", [key])) as Record<string, string>;
  return parseRosterShard(Object.entries(rows).flat());
}

const id = fc.integer({ min: 0, max: 23 }).map((number) => `s${number}`);
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.array(fc.record({ id, leave: fc.boolean() }), { minLength: 1, maxLength: 6 }),
  },
  { weight: 2, arbitrary: id },
  { weight: 1, arbitrary: fc.constant("prune" as const) },
);

test("the members of a shard at a version are exactly those of that time, for every version that a job can name", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
      await redis.send("FLUSHALL", []);
      const model = new Model();
      for (const each of steps) {
        if (each === "prune") await model.prune();
        else if (typeof each === "string") await model.overtaken(each);
        else await model.change([...new Map(each.map((one) => [one.id, one])).values()]);
      }
      await model.check();
    }),
    { numRuns: 60 },
  );
});

test("churn does not grow the roster: newcomers fill emptied shards, and the rows of those who left are deleted", async () => {
  await redis.send("FLUSHALL", []);
  const model = new Model();
  const FOLLOWERS = 60;
  let shards = 0;
  for (let round = 0; round < 30; round += 1) {
    const joining = Array.from({ length: FOLLOWERS }, (_, n) => ({
      id: `r${round}-${n}`,
      leave: false,
    }));
    await model.change(joining);
    if (round > 0) {
      await model.change(joining.map((_, n) => ({ id: `r${round - 1}-${n}`, leave: true })));
    }
    await model.prune();
    shards = Math.max(shards, Number(await redis.send("HGET", [HEAD, "last"])) + 1);
  }
  await model.check();
  // Two generations at once, and the rows of a third until they are deleted.
  expect(shards).toBeLessThanOrEqual((3 * FOLLOWERS) / SIZE);
  expect(await redis.send("HLEN", [SEATS])).toBeLessThanOrEqual(4 * FOLLOWERS);
});

test("the row of a follower who left stays while a job may name a version with them", async () => {
  await redis.send("FLUSHALL", []);
  const model = new Model();
  await model.change([{ id: "s", leave: false }]);
  await model.change([{ id: "s", leave: true }]);
  const routed = model.routed.get(0) ?? 0;
  const kept = { ...roster, shard: 0, routed, keptMs: 60_000 };
  expect(await run(redis, prune, kept)).toBe(0);
  expect(await run(redis, prune, kept)).toBe(0);
  expect(await readShard(0)).toHaveLength(1);
  // A day later.
  await redis.send("HSET", [HEAD, "noted:0", `${routed},1700000000000`]);
  expect(await run(redis, prune, kept)).toBe(1);
  expect(await readShard(0)).toHaveLength(0);
  expect(await redis.send("HLEN", [SEATS])).toBe(0);
});

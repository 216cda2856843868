/**
 * A channel with followers on a desk. The scripts that the edge runs act as the edge. The verdict
 * is read from the desk's own books.
 */
import {
  asId,
  signalIdIn,
  type AccountId,
  type ChannelId,
  type PersonId,
  type SignalId,
  type SubscriptionId,
} from "../../domain/ids.ts";
import {
  canonicalBody,
  type CloseSignal,
  type OpenSignal,
  type Signal,
} from "../../domain/copier/signal.ts";
import type { Subscription } from "../../domain/copier/subscription.ts";
import { accept, HOUSE, type Acceptance } from "../../redis/accept.ts";
import { parseBucket } from "../../workers/desk/stored/books.ts";
import {
  unpackOutcomes,
  unpackClosures,
  type ClosuresEvent,
  type OutcomesEvent,
  type PackedClosures,
  type PackedOutcomes,
  type SettlementsEvent,
} from "../../workers/copier/stored/events.ts";
import { HomeKeys, PartitionMap, RegionKeys } from "../../redis/keys.ts";
import { DeskKeys } from "../../workers/desk/stored/keys.ts";
import type { Progress } from "../../domain/copier/progress.ts";
import {
  parseStoredSignal,
  PROGRESS_FIELDS,
  STORED_SIGNAL_FIELDS,
  sumProgress,
} from "../../redis/progress.ts";
import { projectChannel } from "../../workers/copier/roster/channel.ts";
import { route } from "../../redis/route.ts";
import { seat } from "../../workers/copier/roster/seat.ts";
import { SYSTEM_CLOCK } from "../../workers/runtime/clock.ts";
import { Reach } from "../../workers/copier/dispatch/reach.ts";
import { complete } from "../../workers/copier/dispatch/redispatch.ts";
import { connectRedis } from "../../workers/runtime/redis-client.ts";
import { run, type Redis } from "../../workers/runtime/redis.ts";
import type { DeskProcesses } from "./desk.ts";
import { until } from "./wait.ts";

export const PARTITIONS = new PartitionMap(4);
export const CHANNEL = asId<ChannelId>("demo");
export const PROVIDER = asId<PersonId>("demo-provider");
export const HOME = new HomeKeys(PARTITIONS.ofChannel(CHANNEL));

export function followerOf(index: number, changes: Partial<Subscription> = {}): Subscription {
  const number = String(index).padStart(4, "0");
  return {
    id: asId<SubscriptionId>(`sub-${number}`),
    channel: CHANNEL,
    follower: asId<PersonId>(`follower-${number}`),
    account: asId<AccountId>(`acct-${number}`),
    broker: "desk",
    region: "local",
    state: "active",
    expiresAtMs: Date.now() + 3_600_000,
    plan: { sizing: { kind: "fixed", stakeCents: 100 } },
    version: 1,
    ...changes,
  };
}

/** Projects subscriptions as the roster does: rows first, then the routes that name them. */
export async function subscribe(
  redis: Redis,
  subscriptions: readonly Subscription[],
): Promise<void> {
  for (let start = 0; start < subscriptions.length; start += 500) {
    const some = subscriptions.slice(start, start + 500);
    for (const [partition, group] of Map.groupBy(some, ({ account }) =>
      PARTITIONS.ofAccount(account),
    )) {
      const broker = group[0]?.broker ?? "desk";
      const args = { partition, broker, channel: CHANNEL, subscriptions: group };
      const { shards } = await run(redis, seat, args);
      const routes = shards.map((each) => ({
        region: "local",
        broker,
        partition,
        ...each,
      }));
      await run(redis, route, { home: HOME, channel: CHANNEL, routes });
    }
  }
}

export async function openChannel(redis: Redis, deadlineMs = 1_000): Promise<void> {
  await run(redis, projectChannel, {
    home: HOME,
    channel: {
      id: CHANNEL,
      name: "Demo",
      provider: PROVIDER,
      symbols: ["EUR/USD", "GBP/USD"],
      deadlineMs,
      version: Date.now(),
    },
    grants: { [PROVIDER]: {} },
  });
}

export interface Copier {
  readonly redis: Redis;
  /** Accepts a signal and, by default, dispatches it. */
  send(changes?: Partial<OpenSignal>, dispatch?: boolean): Promise<SignalId>;
  /** Accepts a close, by the provider or the house, and, by default, dispatches it. */
  close(what: Partial<CloseSignal>, dispatch?: boolean, isHouse?: boolean): Promise<Acceptance>;
  progress(id: SignalId): Promise<Progress>;
  /** Waits until every copy has an outcome. */
  complete(id: SignalId, timeoutMs?: number): Promise<Progress>;
  /** Waits until none of them is unknown any more. */
  resolve(id: SignalId, timeoutMs?: number): Promise<Progress>;
  stop(): void;
}

export async function startCopier(
  desk: Pick<DeskProcesses, "redisUrl" | "deposit">,
  followers: number,
  { deadlineMs = 1_000, balanceCents = 1_000_000, broker = "desk" } = {},
): Promise<Copier> {
  const redis = connectRedis(desk.redisUrl);
  await openChannel(redis, deadlineMs);
  const all = Array.from({ length: followers }, (_, index) => followerOf(index, { broker }));
  await subscribe(redis, all);
  await desk.deposit(
    all.map(({ account }) => account),
    balanceCents,
  );
  const parts = {
    home: redis,
    regions: new Map([["local", redis]]),
    reach: new Reach(SYSTEM_CLOCK),
  };
  const take = async (signal: Signal, isHouse = false): Promise<Acceptance> => {
    const reply = await run(redis, accept, {
      id: signalIdIn(PARTITIONS.ofChannel(CHANNEL), crypto.randomUUID().replaceAll("-", "")),
      home: HOME,
      signal,
      sender: isHouse ? HOUSE : PROVIDER,
      isHouse,
      idempotencyKey: crypto.randomUUID(),
      bodySha256: new Bun.CryptoHasher("sha256").update(canonicalBody(signal)).digest("hex"),
    });
    if (reply.kind !== "accepted") throw new Error(JSON.stringify(reply));
    return reply.acceptance;
  };
  const progress = async (id: SignalId): Promise<Progress> => {
    const stored = parseStoredSignal(
      await redis.send("HMGET", [HOME.signal(id), ...STORED_SIGNAL_FIELDS]),
    );
    if (!stored) throw new Error("no such signal");
    const parts = await Promise.all(
      PARTITIONS.all().map((partition) =>
        redis.send("HMGET", [new RegionKeys(partition).progress(id), ...PROGRESS_FIELDS]),
      ),
    );
    return sumProgress(stored, parts);
  };
  const completed = async (id: SignalId): Promise<Progress | undefined> => {
    const now = await progress(id);
    return now.status === "complete" ? now : undefined;
  };
  return {
    redis,
    progress,
    complete: (id, timeoutMs) => until("every copy has an outcome", () => completed(id), timeoutMs),
    resolve: (id, timeoutMs) =>
      until(
        "every copy has an outcome that is known",
        async () => {
          const now = await completed(id);
          return now?.counts.unknown === 0 && now;
        },
        timeoutMs,
      ),
    async send(changes = {}, dispatch = true) {
      const signal: Signal = {
        channel: CHANNEL,
        symbol: "EUR/USD",
        contract: "CALL",
        stakeCents: 500,
        durationSeconds: 60,
        ...changes,
      };
      const reply = await take(signal);
      if (dispatch) await complete(parts, HOME, reply.id);
      return reply.id;
    },
    async close(what, dispatch = true, isHouse = false) {
      const reply = await take({ action: "close", channel: CHANNEL, ...what }, isHouse);
      if (dispatch) await complete(parts, HOME, reply.id);
      return reply;
    },
    stop() {
      redis.close();
    },
  };
}

export interface Books {
  /** Contracts of the signal on the desk's books, client order id → state. */
  readonly contracts: ReadonlyMap<string, string>;
  /** The money of all accounts, free and at stake in open contracts. */
  readonly balanceCents: number;
  readonly atStakeCents: number;
}

/** The desk's own books, read without any tested code. */
export async function readBooks(redis: Redis, id: SignalId): Promise<Books> {
  const contracts = new Map<string, string>();
  let balanceCents = 0;
  let atStakeCents = 0;
  for (const partition of PARTITIONS.all()) {
    const keys = new DeskKeys(partition);
    const rows = await redis.send("HGETALL", [keys.contracts(id)]);
    for (const { clientOrderId, state, stakeCents } of parseBucket(id, rows)) {
      contracts.set(clientOrderId, state);
      if (state === "open") atStakeCents += stakeCents;
    }
    const balances = (await redis.send("HGETALL", [keys.balances])) as Record<string, string>;
    for (const cents of Object.values(balances)) balanceCents += Number(cents);
  }
  return { contracts, balanceCents, atStakeCents };
}

/**
 * The outcomes of a signal's copies in the region's events, one partition after the other, each in
 * order.
 */
export async function readEvents(redis: Redis, id: SignalId): Promise<OutcomesEvent[]> {
  const events = await readAll(redis);
  return events.flatMap((event) =>
    event.kind === "outcomes" && event.signal === id ? [unpackOutcomes(event)] : [],
  );
}

/** The outcomes of a close in these events. */
export async function readClosures(redis: Redis, id: SignalId): Promise<ClosuresEvent[]> {
  const events = await readAll(redis);
  return events.flatMap((event) =>
    event.kind === "closures" && event.signal === id ? [unpackClosures(event)] : [],
  );
}

async function readAll(
  redis: Redis,
): Promise<(PackedOutcomes | PackedClosures | SettlementsEvent)[]> {
  const partitions = await Promise.all(
    PARTITIONS.all().map(
      async (partition) =>
        (await redis.send("XRANGE", [new RegionKeys(partition).events, "-", "+"])) as [
          string,
          string[],
        ][],
    ),
  );
  return partitions
    .flat()
    .map(([, flat]) => JSON.parse(flat[1] ?? "{}") as PackedOutcomes | PackedClosures);
}

/** Every outcome in the region's events, subscription → kinds in order. */
export async function readOutcomes(
  redis: Redis,
  id: SignalId,
): Promise<ReadonlyMap<string, string[]>> {
  const outcomes = new Map<string, string[]>();
  for (const { copies } of await readEvents(redis, id)) {
    for (const [subscription, , outcome] of copies) {
      const shown = "reason" in outcome ? `${outcome.kind}: ${outcome.reason}` : outcome.kind;
      outcomes.set(subscription, [...(outcomes.get(subscription) ?? []), shown]);
    }
  }
  return outcomes;
}

/**
 * Where the items of each key belong if there are more partitions. Data whose
 * address names a partition, such as a signal's jobs, stay there and are found
 * there.
 */
import type { AccountId, ChannelId, HookId, SubscriptionId } from "../../../domain/ids.ts";
import { own } from "../../../domain/own.ts";
import type { PartitionMap } from "../../../redis/keys.ts";
import { rowsOf } from "../../desk/stored/books.ts";
import { accountOfField } from "../../desk/stored/fields.ts";
import { DeskKeys } from "../../desk/stored/keys.ts";
import type { Records } from "../../records/port.ts";
import type { Redis } from "../../runtime/redis.ts";
import { Failure } from "../command.ts";

/**
 * A field of a hash with its value; a member of a sorted set with its score; a
 * member of a set with an empty text; the value of a string.
 */
export type Item = readonly [field: string, value: string];
/** Partition → its items, including the key's own partition. */
export type Placed = ReadonlyMap<number, readonly Item[]>;
export type Placement = (items: readonly Item[]) => Placed | Promise<Placed>;

/** `home:{3}:open:demo` → home, 3, open, demo. */
export interface PartitionKey {
  readonly kind: string;
  readonly partition: number;
  readonly name: string;
  readonly rest: string;
}

export interface PlacementParts {
  readonly redis: Redis;
  readonly records: Pick<Records, "subscriptions">;
  /** The number of partitions before. */
  readonly from: number;
  /** The partitions afterwards. */
  readonly map: PartitionMap;
}

export function parsePartitionKey(key: string): PartitionKey | undefined {
  const [, kind = "", partition, name = "", rest = ""] =
    /^(home|region|desk):\{(\d+)\}:([^:]+):?(.*)$/s.exec(key) ?? [];
  return partition === undefined ? undefined : { kind, partition: Number(partition), name, rest };
}

const STAYS = "stays";

/** Undefined for data that do not move. Throws for a key without a placement. */
export function placementOf(key: PartitionKey, parts: PlacementParts): Placement | undefined {
  const { redis, records, from, map } = parts;
  const { kind, partition, name, rest } = key;
  const family = map.all().filter((each) => each % from === partition);
  const whole =
    (to: number): Placement =>
    (items) =>
      new Map([[to, items]]);
  const everywhere: Placement = (items) => new Map(family.map((each) => [each, items]));
  const each =
    (partitionOf: (field: string, value: string) => number): Placement =>
    (items) =>
      Map.groupBy(items, ([field, value]) => partitionOf(field, value));
  const channel = (id: string): number => map.ofChannel(id as ChannelId);
  const account = (id: string): number => map.ofAccount(id as AccountId);
  const byAccount = each((field) => account(accountOfField(field)));
  const byTrigger = each((text) => account(text.split(" ").at(-1) ?? ""));
  /** Data without a record no longer belong to a channel. */
  const bySubscription =
    (subscriptionOf: (field: string) => string): Placement =>
    async (items) => {
      const ids = items.map(([field]) => subscriptionOf(field) as SubscriptionId);
      const found = await records.subscriptions.find({ where: { _id: ids } });
      const places = new Map(found.map((record) => [record._id, map.ofAccount(record.account)]));
      return Map.groupBy(items, ([field]) => places.get(subscriptionOf(field)) ?? partition);
    };

  const placements: Record<string, Record<string, Placement | typeof STAYS>> = {
    home: {
      signals: STAYS,
      links: STAYS,
      undispatched: STAYS,
      halts: everywhere,
      opening: each(channel),
      open: whole(channel(rest)),
      channel: whole(channel(rest)),
      grants: whole(channel(rest)),
      routes: whole(channel(rest)),
      chain: whole(channel(rest)),
      answer: whole(channel(rest.split(":", 1)[0] ?? "")),
      hook: whole(map.ofHook(rest as HookId)),
      signal: (items) =>
        new Map([partition, channel(readChannel(items))].map((where) => [where, items])),
    },
    region: {
      events: STAYS,
      jobs: STAYS,
      questions: STAYS,
      closes: STAYS,
      closing: STAYS,
      enqueued: STAYS,
      progress: STAYS,
      job: STAYS,
      run: STAYS,
      settlements: STAYS,
      roster: STAYS,
      "rosters-behind": STAYS,
      halts: everywhere,
      layers: everywhere,
      usage: bySubscription((field) => field),
      reserved: bySubscription((field) => field.slice(field.lastIndexOf(".") + 1)),
      places: byAccount,
    },
    desk: {
      balances: byAccount,
      versions: byAccount,
      buys: byAccount,
      sells: byAccount,
      positions: byAccount,
      symbols: byAccount,
      history: byAccount,
      sessions: byAccount,
      deposits: each((_, by) => account(by)),
      "buy-triggers": byTrigger,
      "sell-triggers": byTrigger,
      quotes: everywhere,
      ticks: everywhere,
      contracts: (items) =>
        new Map(
          family.map((own) => [own, items.map((item) => splitContracts(item, own, account))]),
        ),
      expiries: async (items) => await splitExpiries(redis, partition, items, account),
      audit: STAYS,
      audited: STAYS,
      transactions: STAYS,
      settlements: STAYS,
      prepared: STAYS,
    },
  };
  const ofKind = own(placements, kind);
  const placement = ofKind && own(ofKind, name);
  if (placement === undefined) throw new Failure(`there is no placement for ${kind} ${name}`);
  return placement === STAYS ? undefined : placement;
}

function readChannel(items: readonly Item[]): string {
  const [, signal = "{}"] = items.find(([field]) => field === "signal") ?? [];
  return String((JSON.parse(signal) as { readonly channel?: string }).channel);
}

type PartitionOf = (account: string) => number;

/**
 * Each partition has every field, some only with its head, because a shard's
 * contracts are found by counting its fields.
 */
function splitContracts([field, text]: Item, own: number, partitionOf: PartitionOf): Item {
  const [head = "", rows = ""] = text.split("|");
  return [field, `${head}|${rowsOf(rows, (account) => partitionOf(account) === own)}`];
}

/** Contracts that were opened together expire in each partition that has some of them. */
async function splitExpiries(
  redis: Redis,
  partition: number,
  items: readonly Item[],
  partitionOf: PartitionOf,
): Promise<Placed> {
  const placed = new Map<number, Item[]>();
  for (const item of items) {
    const [field = "", bucket = ""] = item[0].split(" ");
    const key = new DeskKeys(partition).contracts(bucket);
    const text = ((await redis.send("HGET", [key, field])) ?? "") as string;
    const places = (text.split("|")[1] ?? "")
      .split(";")
      .slice(0, -1)
      .map((row) => partitionOf(row.split(",")[1] ?? ""));
    for (const each of new Set(places)) placed.set(each, [...(placed.get(each) ?? []), item]);
  }
  return placed;
}

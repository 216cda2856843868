/**
 * An independent observer: it notes each acceptance when it takes effect, with everyone who was on
 * the roster at that moment.
 */
import {
  openUntilMs,
  type AcceptedClose,
  type AcceptedSignal,
} from "../../domain/copier/signal.ts";
import type { SignalId } from "../../domain/ids.ts";
import { accept } from "../../redis/accept.ts";
import { HomeKeys, RegionKeys, type PartitionMap } from "../../redis/keys.ts";
import { parseRosterShard } from "../../workers/copier/stored/roster.ts";
import { parseRoutes } from "../../redis/route.ts";
import { hashScript } from "./redis/lua.ts";
import type { Observed, RedisServer } from "./redis/server.ts";

export interface Acceptance {
  readonly signal: AcceptedSignal;
  /** Everyone on the roster at that moment. */
  readonly snapshot: ReadonlySet<string>;
  /** The number in the acceptance. */
  readonly followers: number;
  /** Of a close: what it should close, computed from the acceptances that were still open. */
  readonly wanted?: readonly SignalId[];
}

const ACCEPT_SHA = hashScript(accept.lua);

export class Oracle {
  readonly accepted = new Map<SignalId, Acceptance>();
  readonly #redis: RedisServer;
  readonly #partitions: PartitionMap;

  constructor(redis: RedisServer, partitions: PartitionMap) {
    this.#redis = redis;
    this.#partitions = partitions;
  }

  observe({ command, args, reply }: Observed): void {
    if (!command.startsWith("EVAL") || !Array.isArray(reply) || reply[0] !== "accepted") return;
    if (args[0] !== ACCEPT_SHA && args[0] !== accept.lua) return;
    const signal = JSON.parse(String(reply[5])) as AcceptedSignal;
    const followers = Number(reply[4]);
    if (signal.action === "close") {
      const wanted = this.#wanted(signal);
      const orders = wanted.flatMap((of) =>
        [...(this.accepted.get(of)?.snapshot ?? [])].map((each) => `${of}.${each}`),
      );
      this.accepted.set(signal.id, { signal, snapshot: new Set(orders), followers, wanted });
      return;
    }
    const snapshot = new Set(this.#snapshot(signal));
    this.accepted.set(signal.id, { signal, snapshot, followers });
  }

  #wanted({ acceptedAtMs, signal }: AcceptedClose): SignalId[] {
    const { store } = this.#redis.engine;
    return [...this.accepted.values()].flatMap(({ signal: of, snapshot }) => {
      if (of.action === "close" || snapshot.size === 0) return [];
      if (openUntilMs(of) < acceptedAtMs || (signal !== undefined && signal !== of.id)) return [];
      return store.has(HomeKeys.ofSignal(of.id).signal(of.id), 0) ? [of.id] : [];
    });
  }

  /** Computed again from the routes and rows of that moment. */
  *#snapshot({ channel }: AcceptedSignal): Iterable<string> {
    const { store } = this.#redis.engine;
    const home = new HomeKeys(this.#partitions.ofChannel(channel));
    const flat = [...(store.get(home.routes(channel), "hash", 0)?.fields ?? [])].flat();
    for (const { partition, broker, shard, version } of parseRoutes(flat)) {
      const key = new RegionKeys(partition).rosterShard(channel, broker, shard);
      const rows = [...(store.get(key, "hash", 0)?.fields ?? [])].flat();
      for (const { subscription, turns } of parseRosterShard(rows)) {
        if (turns.filter((turn) => turn <= version).length % 2 === 1) yield subscription;
      }
    }
  }
}

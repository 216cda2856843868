/**
 * The policies above a channel's subscriptions, as this worker last read them from
 * each partition, and the members of a shard with these policies applied to their
 * plans. They are not trusted: the script that writes the intents compares the
 * version. If no policy is set, a shard's members are used as they are.
 */
import { layUnder, type LayeredPlan } from "../../../domain/copier/plan-layer.ts";
import type { AcceptedSignal } from "../../../domain/copier/signal.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { layerFields, parseLayers, type Layers } from "../stored/layers.ts";
import type { RosterMember } from "../stored/roster.ts";
import type { Redis } from "../../runtime/redis.ts";

/** About a kilobyte each. With more channels than this, the least recently used is read again. */
const MAX_CACHED = 10_000;

interface Folded {
  readonly upper: LayeredPlan;
  readonly members: readonly RosterMember[];
}

export class LayerCache {
  readonly #redis: Redis;
  /** In order of last use. */
  readonly #layers = new Map<string, Layers>();
  /** An entry is freed with its shard, when the roster cache drops it. */
  readonly #folded = new WeakMap<readonly RosterMember[], Folded>();

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** The policies as last read; `fresh` reads them again. */
  async of(partition: number, signal: AcceptedSignal, fresh = false): Promise<Layers> {
    const key = `${partition} ${signal.provider} ${signal.channel}`;
    const cached = this.#layers.get(key);
    const layers =
      cached !== undefined && !fresh ? cached : sameAs(cached, await this.#read(partition, signal));
    this.#layers.delete(key);
    this.#layers.set(key, layers);
    const [oldest] = this.#layers.keys();
    if (this.#layers.size > MAX_CACHED && oldest !== undefined) this.#layers.delete(oldest);
    return layers;
  }

  async #read(partition: number, signal: AcceptedSignal): Promise<Layers> {
    const key = new RegionKeys(partition).layers;
    return parseLayers(await this.#redis.send("HMGET", [key, ...layerFields(signal)]));
  }

  /** Combined once for each shard and policy. */
  membersUnder({ upper }: Layers, members: readonly RosterMember[]): readonly RosterMember[] {
    if (!upper) return members;
    const known = this.#folded.get(members);
    if (known?.upper === upper) return known.members;
    const folded = members.map((each) => ({ ...each, plan: layUnder(upper, each.plan) }));
    this.#folded.set(members, { upper, members: folded });
    return folded;
  }
}

/** Equal settings stay the same object, so that they are not combined again. */
function sameAs(cached: Layers | undefined, read: Layers): Layers {
  return cached && Bun.deepEquals(cached.upper, read.upper)
    ? { ...read, upper: cached.upper }
    : read;
}

/**
 * The plan of a round, generated from its seed alone: the same seed and round plan the same faults.
 */
import type { Scope } from "../../domain/copier/scope.ts";
import type { Capabilities } from "../../workers/copier/brokers/port.ts";
import { createRandom, type Faults } from "../fake-broker/settings.ts";
import { PARTITIONS } from "../support/copier.ts";
import type { Toxic } from "../support/toxiproxy.ts";
import { POINTS, strikesCloses, type Disaster, type Equipment } from "./disaster.ts";

export interface Plan {
  readonly round: number;
  readonly store: "redis" | "cluster";
  /** How the one Redis keeps its file. */
  readonly durability: "everysec" | "always";
  readonly broker: Omit<Capabilities, "inFlightMs">;
  readonly faults: Partial<Faults>;
  readonly durationSeconds: number;
  readonly closes: Closes;
  readonly disaster: Disaster;
}

/**
 * The first signal is closed before the disaster, while opens are in progress or under a halt that
 * is lifted after it, and everything that is still open is closed at the end; or nothing is ever
 * closed.
 */
export type Closes = "none" | "under way" | { readonly heldBy: Scope };

/** Whether Redis' last acknowledged writes may be lost afterwards. */
export function mayLose({ disaster, durability }: Plan): boolean {
  return (
    disaster.kind === "kill primary" || (disaster.kind === "cut Redis" && durability === "everysec")
  );
}

/** A killed Redis has lost what was not written; under `everysec` that is what a cut takes. */
export function durabilityAt({ kind }: Disaster, usual: Plan["durability"]): Plan["durability"] {
  return kind === "kill Redis" || kind === "forget the sending" ? "always" : usual;
}

/** One round in this many is played on a cluster, unless all are. */
const CLUSTER_EVERY = 8;

/** Only disasters for which the machine has the equipment. */
export function drawPlan(
  seed: number,
  round: number,
  equipment: Equipment,
  { cluster = false } = {},
): Plan {
  const random = createRandom(Math.imul(seed, 1_000_003) + round);
  const upTo = (most: number): number => Math.floor(random() * most);
  const pick = <T>(items: readonly T[]): T => {
    const item = items[upTo(items.length)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  };
  const broker = {
    deduplicates: pick(["none", "open-orders", "ten-minutes", "account"] as const),
    lookUp: pick(["authoritative", "hint"] as const),
    validUntil: pick(["enforced", "ignored"] as const),
  };
  const faults = pick<Partial<Faults>>([
    {},
    { partial: 0.5 },
    { beforeMs: 300 },
    { afterMs: 300, partial: 0.2 },
    { busy: 0.5, retryAfterMs: 30 },
    { resetBefore: 0.3, resetAfter: 0.3 },
    { silent: 0.3, afterMs: 100 },
    { busy: 0.2, resetBefore: 0.2, resetAfter: 0.2, beforeMs: 50, afterMs: 50, partial: 0.3 },
  ]);
  const durationSeconds = pick([1, 60]);
  const durability = pick(["everysec", "everysec", "always"] as const);
  const drawn = { afterMs: upTo(60), forMs: 200 + upTo(1_300), nth: 1 + upTo(4), share: random() };
  const onCluster = upTo(CLUSTER_EVERY) === 0 || cluster;
  const common = { round, faults };
  if (onCluster) {
    const disaster = pick([...anywhere(drawn, pick), ...onACluster(drawn, pick)]);
    return {
      ...common,
      durability,
      store: "cluster",
      durationSeconds,
      disaster,
      ...closing(disaster, broker, pick),
    };
  }
  const disaster = pick([
    ...anywhere(drawn, pick),
    ...onOneRedis(drawn, equipment),
    ...onRecords(drawn, equipment),
    ...byNetwork(drawn, pick, equipment),
  ]);
  // Settled contracts reveal signals that a cut removed without trace.
  const isCut = disaster.kind === "cut Redis";
  return {
    ...common,
    durability: durabilityAt(disaster, durability),
    store: "redis",
    durationSeconds: isCut ? 1 : durationSeconds,
    disaster,
    ...closing(disaster, broker, pick),
  };
}

function closing(
  disaster: Disaster,
  broker: Plan["broker"],
  pick: Choose,
): Pick<Plan, "closes" | "broker"> {
  const some: readonly Closes[] = [
    "under way",
    "under way",
    { heldBy: "broker:fake" },
    { heldBy: "follower:follower-0007" },
  ];
  return {
    closes: strikesCloses(disaster) ? "under way" : pick<Closes>(["none", ...some]),
    broker: pick([true, false]) ? { ...broker, closes: "once" } : broker,
  };
}

interface Drawn {
  readonly afterMs: number;
  readonly forMs: number;
  readonly nth: number;
  readonly share: number;
}
type Choose = <T>(items: readonly T[]) => T;

function anywhere({ afterMs, forMs, nth }: Drawn, pick: Choose): Disaster[] {
  const crash = (): Disaster => {
    const [role, at] = pick(POINTS);
    return { kind: "crash", role, at, nth };
  };
  return [
    crash(),
    crash(),
    crash(),
    { kind: "kill unanswered" },
    { kind: "kill worker", afterMs },
    { kind: "halt", at: pick(["before-send", "before-send", "before:report"]), nth, forMs },
    { kind: "halt", at: pick(["before-send", "before:answer"]), nth, forMs: 2_000 + forMs },
    { kind: "halt", at: pick(["before-close-send", "before:move-closing"]), nth, forMs },
    { kind: "dead broker", afterMs, forMs },
    { kind: "spoil", partition: pick(PARTITIONS.all()), afterMs },
  ];
}

function onOneRedis({ afterMs, forMs, share }: Drawn, { noteSyncs }: Equipment): Disaster[] {
  const cut: Disaster = { kind: "cut Redis", afterMs: afterMs * 8, share: Math.sqrt(share) };
  return [
    { kind: "kill Redis", afterMs },
    { kind: "pause Redis", afterMs, forMs },
    ...(noteSyncs ? [cut, cut, cut] : []),
  ];
}

function onRecords({ afterMs, forMs }: Drawn, { mongo }: Equipment): Disaster[] {
  if (!mongo) return [];
  return [
    { kind: "cut MongoDB", afterMs, forMs },
    ...(mongo.process ? [{ kind: "pause MongoDB", afterMs, forMs } as const] : []),
    ...(mongo.process?.killAndRestart ? [{ kind: "kill MongoDB", afterMs } as const] : []),
  ];
}

function byNetwork({ afterMs, forMs }: Drawn, pick: Choose, { toxiproxy, mongo }: Equipment) {
  const toxic = pick<Toxic>([
    { kind: "cut" },
    { kind: "reset" },
    { kind: "silent" },
    { kind: "slow", delayMs: 300 },
  ]);
  const ways = (["redis", "broker", "records"] as const).filter(
    (to) => toxiproxy && (to !== "records" || mongo !== undefined),
  );
  return ways.map((to): Disaster => ({ kind: "network", to, toxic, afterMs, forMs }));
}

function onACluster({ afterMs }: Drawn, pick: Choose): Disaster[] {
  const partition = pick(PARTITIONS.all());
  const ahead = pick([true, false]);
  return [
    { kind: "kill primary", of: "home", ahead, afterMs },
    { kind: "kill primary", of: partition, ahead, afterMs },
    { kind: "move a partition", partition, afterMs },
  ];
}

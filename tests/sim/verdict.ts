/**
 * The verdict: the required result of every signal, from the events in Redis and from the broker's
 * own book.
 */
import { clientOrderId, type SubscriptionId } from "../../domain/ids.ts";
import type { CloseOutcome, Outcome } from "../../domain/copier/outcome.ts";
import { HomeKeys, RegionKeys, type PartitionMap } from "../../redis/keys.ts";
import {
  unpackClosures,
  unpackOutcomes,
  type ChainLink,
  type PackedClosures,
  type PackedOutcomes,
} from "../../workers/copier/stored/events.ts";
import { FIRST_HASH, linkHash } from "../../workers/copier/dispatch/chain.ts";
import type { SimulatedBroker } from "./broker.ts";
import { CHANNEL } from "./edge.ts";
import type { Acceptance, Oracle } from "./oracle.ts";
import type { Store } from "./redis/values.ts";
import type { Surroundings } from "./workers.ts";

export interface Verdict {
  /** Broken promises. */
  readonly faults: readonly string[];
  /** What may still become right, and must be right at the end. */
  readonly open: readonly string[];
  /** Acceptances that a Redis lost with its tail (`everysec`). */
  readonly lost: readonly string[];
  /** Orders that a broker which ignores valid-until opened after their deadline. */
  readonly late: readonly string[];
}

export function findFaults(
  { redis, broker, partitions }: Surroundings,
  oracle: Oracle,
  nowMs: number,
  { pausedFromMs, isSpoilt }: { readonly pausedFromMs: number; readonly isSpoilt: boolean },
): Verdict {
  const { store } = redis.engine;
  const verdict = { faults: [], open: [], lost: [], late: [] } as Record<keyof Verdict, string[]>;
  const reported = readOutcomes(store, partitions);
  for (const acceptance of oracle.accepted.values()) {
    const { id, acceptedAtMs } = acceptance.signal;
    for (const [subscription, outcomes] of reported.get(id) ?? []) {
      if (acceptedAtMs > pausedFromMs && outcomes.at(-1)?.kind === "placed") {
        verdict.faults.push(`${id} of ${subscription} was placed, and everybody was paused`);
      }
    }
    if (store.has(HomeKeys.ofSignal(id).signal(id), nowMs)) {
      judgeSignal(verdict, acceptance, reported, broker, store, partitions, nowMs);
    } else verdict.lost.push(`signal ${id} was accepted and lost`);
  }
  judgeBook(verdict, broker);
  judgeHome(verdict, store, partitions, broker, isSpoilt);
  return verdict;
}

type Reported = Map<string, (Outcome | CloseOutcome)[]>;

function readFields(store: Store, key: string): Map<string, string>[] {
  const entries = store.get(key, "stream", 0)?.entries ?? [];
  return entries.map(({ flat }) => {
    const fields = new Map<string, string>();
    for (let index = 0; index + 1 < flat.length; index += 2) {
      fields.set(flat[index] ?? "", flat[index + 1] ?? "");
    }
    return fields;
  });
}

/**
 * Signal → subscription, or for a close the order that it closes → its outcomes in the order in
 * which they were reported.
 */
function readOutcomes(store: Store, partitions: PartitionMap): Map<string, Reported> {
  const reported = new Map<string, Reported>();
  for (const partition of partitions.all()) {
    for (const fields of readFields(store, new RegionKeys(partition).events)) {
      const packed = JSON.parse(fields.get("event") ?? "") as PackedOutcomes | PackedClosures;
      const event = packed.kind === "outcomes" ? unpackOutcomes(packed) : unpackClosures(packed);
      const ofSignal: Reported = reported.get(event.signal) ?? new Map();
      reported.set(event.signal, ofSignal);
      for (const [subscription, , outcome] of event.copies) {
        const name = event.kind === "closures" ? `${event.of}.${subscription}` : subscription;
        ofSignal.set(name, [...(ofSignal.get(name) ?? []), outcome]);
      }
    }
  }
  return reported;
}

function judgeSignal(
  { faults, open }: Record<keyof Verdict, string[]>,
  { signal, snapshot, followers, wanted }: Acceptance,
  all: ReadonlyMap<string, Reported>,
  broker: SimulatedBroker,
  store: Store,
  partitions: PartitionMap,
  nowMs: number,
): void {
  const { id } = signal;
  const reported: Reported = all.get(id) ?? new Map();
  const isClose = signal.action === "close";
  if (isClose && !Bun.deepEquals(signal.closes.toSorted(), wanted?.toSorted())) {
    faults.push(`${id} closes ${signal.closes.join()}, where ${wanted?.join()} were open`);
  }
  if (followers !== snapshot.size)
    faults.push(`${id} counts ${followers} followers, not ${snapshot.size}`);
  for (const subscription of reported.keys()) {
    if (!snapshot.has(subscription))
      faults.push(`${id} tells of ${subscription}, who is not in its snapshot`);
  }
  const counts = { placed: 0, rejected: 0, skipped: 0, unknown: 0 };
  // An outcome that no question can resolve stays unknown: the silence of a hint proves nothing.
  const mayStayUnknown =
    broker.capabilities.lookUp === "hint" && !(isClose && broker.capabilities.closes === "once");
  for (const subscription of snapshot) {
    const outcomes = reported.get(subscription) ?? [];
    const last = outcomes.at(-1);
    const name = `${id} of ${subscription}`;
    const isBooked = isClose
      ? broker.sales.some((each) => each.clientOrderId === subscription && each.close === id)
      : broker.book.some(
          (each) => each.clientOrderId === clientOrderId(id, subscription as SubscriptionId),
        );
    if (!last) {
      // A close of a possibly opened copy waits with its question. At a broker where nothing is
      // ever certain, it also waits behind another close.
      const [of = "", copy = ""] = subscription.split(".");
      const isAsked = all.get(of)?.get(copy)?.at(-1)?.kind === "unknown";
      if (!isClose || !(isAsked || mayStayUnknown)) open.push(`${name} has no outcome`);
      continue;
    }
    counts[last.kind === "closed" ? "placed" : last.kind] += 1;
    if (isClose && last.kind === "skipped" && isOpenAt(broker, subscription, nowMs)) {
      faults.push(`${name} is reported as not open, and is open`);
    }
    const kinds = outcomes.map(({ kind }) => kind);
    const isOnce =
      kinds.length === 1 ||
      (kinds.length === 2 && kinds[0] === "unknown" && kinds[1] !== "unknown");
    if (!isOnce) faults.push(`${name} is reported ${kinds.join(", ")}`);
    if (last.kind === "unknown") {
      if (!mayStayUnknown) open.push(`${name} is unknown`);
    } else if ((last.kind === (isClose ? "closed" : "placed")) !== isBooked) {
      const booked = `is ${isBooked ? "" : "not "}on the broker's book`;
      faults.push(`${name} is reported ${JSON.stringify(last)}, and ${booked}`);
    }
  }
  const shown = { placed: 0, rejected: 0, skipped: 0, unknown: 0 };
  for (const partition of partitions.all()) {
    const fields = store.get(new RegionKeys(partition).progress(id), "hash", 0)?.fields;
    for (const kind of Object.keys(shown) as (keyof typeof shown)[]) {
      shown[kind] += Number(fields?.get(kind) ?? 0);
    }
  }
  if (!Bun.deepEquals(shown, counts)) {
    faults.push(
      `${id} shows ${JSON.stringify(shown)}, where outcomes are ${JSON.stringify(counts)}`,
    );
  }
}

/** Whether the order is on the broker's book, not sold and not expired. */
function isOpenAt({ book, sales }: SimulatedBroker, order: string, nowMs: number): boolean {
  const isSold = sales.some(({ clientOrderId: id }) => id === order);
  return (
    !isSold && book.some(({ clientOrderId: id, closesAtMs }) => id === order && closesAtMs > nowMs)
  );
}

function judgeBook(
  { faults, late }: Record<keyof Verdict, string[]>,
  broker: SimulatedBroker,
): void {
  const known = new Set<string>();
  for (const { clientOrderId: id, openedAtMs, validUntilMs } of broker.book) {
    if (known.has(id)) faults.push(`${id} was opened twice`);
    known.add(id);
    if (openedAtMs <= validUntilMs) continue;
    const isEnforced = broker.capabilities.validUntil === "enforced";
    (isEnforced ? faults : late).push(`${id} was opened after its deadline`);
  }
  const sold = new Set<string>();
  for (const { clientOrderId: id, close } of broker.sales) {
    if (sold.has(id)) faults.push(`${id} was sold twice, last by ${close}`);
    sold.add(id);
  }
  for (const { atMs, batch } of broker.sent) {
    if (atMs > batch.validUntilMs) faults.push(`a worker sent orders after their deadline`);
  }
}

function judgeHome(
  { faults, open }: Record<keyof Verdict, string[]>,
  store: Store,
  partitions: PartitionMap,
  broker: SimulatedBroker,
  isSpoilt: boolean,
): void {
  for (const partition of partitions.all()) {
    const home = new HomeKeys(partition);
    const region = new RegionKeys(partition);
    if (store.get(home.undispatched, "zset", 0)) open.push("a signal is not dispatched");
    for (const key of [region.jobs("desk"), region.closes("desk"), home.signals]) {
      for (const group of store.get(key, "stream", 0)?.groups.values() ?? []) {
        // While a question is not answered, its close is repeated.
        const isAsking = key === region.closes("desk") && broker.capabilities.lookUp === "hint";
        if (group.pending.size > 0 && !isAsking)
          open.push(`${key} has entries that are not acknowledged`);
      }
      for (const letter of readFields(store, `${key}:dead`)) {
        const isGivenUp = letter.get("reason")?.endsWith("with SyntaxError") === true;
        const isExpected = isSpoilt && isGivenUp && key === region.jobs("desk");
        if (!isExpected)
          faults.push(`an entry of ${key} is a dead letter: ${letter.get("reason")}`);
      }
    }
  }
  const home = new HomeKeys(partitions.ofChannel(CHANNEL));
  const signals = readFields(store, home.signals);
  const links = readFields(store, home.links);
  if (links.length < signals.length) open.push("a signal is not linked");
  let previous = FIRST_HASH;
  for (const [index, fields] of links.entries()) {
    const next = JSON.parse(fields.get("link") ?? "") as ChainLink;
    const signal = JSON.parse(signals[index]?.get("signal") ?? "{}") as Acceptance["signal"];
    const wanted = linkHash(previous, signal, signals[index]?.get("sha256") ?? "");
    const isNext = next.previousHash === previous && next.linkHash === wanted;
    if (!isNext || next.sequence !== index + 1) faults.push(`link ${index + 1} does not follow`);
    previous = next.linkHash;
  }
}

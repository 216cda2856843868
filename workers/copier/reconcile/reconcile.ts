/**
 * Compares acceptances, jobs and intents, outcomes and each broker's own list, and
 * the stops with the recorded ones, both ways, and names every difference. It
 * repairs nothing: the dispatcher, the reclaimed jobs and the questions do that. A
 * difference that they could not repair needs a person.
 */
import type { ChannelId, SignalId } from "../../../domain/ids.ts";
import type { AcceptedSignal } from "../../../domain/copier/signal.ts";
import { HomeKeys } from "../../../redis/keys.ts";
import type { SignalRecord } from "../../records/port.ts";
import { compareClose } from "./closes.ts";
import { compareCopies } from "./copies.ts";
import type { Difference } from "./differences.ts";
import { compareLog, type LogEntry } from "./log.ts";
import { compareStops } from "./stops.ts";
import { pictureOf, readStored, type Known } from "./picture.ts";
import type { Sources } from "./sources.ts";
import { readTraces, type Traces } from "./traces.ts";

/** For one channel in one window. */
const MAX_SIGNALS = 10_000;

export interface Scope {
  /** Compares signals accepted from this moment on. */
  readonly sinceMs: number;
  /** Only this signal, however young it is. */
  readonly signal?: SignalId;
  /** How long after its deadline a signal may take to have all outcomes. */
  readonly graceMs: number;
  /** How long an outcome may be unknown. */
  readonly unknownAfterMs: number;
}

export interface Reconciliation {
  readonly signals: number;
  readonly followers: number;
  readonly differences: readonly Difference[];
}

export async function reconcile(sources: Sources, scope: Scope): Promise<Reconciliation> {
  const nowMs = sources.clock.nowMs();
  const channels: ChannelId[] = [];
  for await (const { _id } of sources.records.channels.each({})) channels.push(_id as ChannelId);
  const heads = new Map(
    await Promise.all(
      channels.map(async (channel) => [channel, await readHead(sources, channel)] as const),
    ),
  );
  const traces = await readTraces(sources, scope.sinceMs);
  if (scope.signal !== undefined) return await reconcileOne(sources, scope, scope.signal, traces);

  const differences = await compareStops(sources, scope.graceMs);
  const known = new Map<string, Known>();
  for (const channel of channels) {
    const entries = await readLog(sources, channel, scope.sinceMs, traces);
    const linkedUntilMs = nowMs - scope.graceMs;
    const head = heads.get(channel) ?? { sequence: 0, head: null };
    differences.push(...compareLog({ channel, entries, ...head, linkedUntilMs }));
    for (const { known: each } of entries) known.set(each.id, each);
  }
  const linked = await linkedOnly(sources, scope.sinceMs);
  for (const [signal, channel] of new Map([...linked, ...traces.named])) {
    if (known.has(signal) || (await findOne(sources, signal as SignalId, traces))) continue;
    differences.push(lost(signal, channel));
  }
  let signals = 0;
  let followers = 0;
  for (const each of known.values()) {
    const isDue = each.deadlineMs + scope.graceMs <= nowMs;
    if (each.acceptedAtMs < scope.sinceMs || !isDue) continue;
    signals += 1;
    followers += each.followers;
    differences.push(...(await compareOne(sources, scope, each, traces)));
  }
  return { signals, followers, differences };
}

/**
 * Signals that have only a recorded link: a Redis may have lost the rest before it
 * was recorded.
 */
async function linkedOnly(
  { records }: Sources,
  sinceMs: number,
): Promise<ReadonlyMap<string, undefined>> {
  const found = await records.signals.find({ where: { acceptedAtMs: null } });
  // A link without a recorded time counts as recent.
  const recent = found.filter(({ linkedAtMs = Infinity }) => linkedAtMs >= sinceMs);
  return new Map(recent.map(({ _id }) => [_id, undefined]));
}

async function reconcileOne(
  sources: Sources,
  scope: Scope,
  id: SignalId,
  traces: Traces,
): Promise<Reconciliation> {
  const known = await findOne(sources, id, traces);
  if (!known) {
    return { signals: 0, followers: 0, differences: [lost(id, traces.named.get(id))] };
  }
  const differences = await compareOne(sources, scope, known, traces);
  return { signals: 1, followers: known.followers, differences };
}

async function compareOne(
  sources: Sources,
  { unknownAfterMs }: Scope,
  known: Known,
  { events, closures }: Traces,
): Promise<Difference[]> {
  if (known.closes) {
    const reported = closures.get(known.id) ?? new Map<string, readonly string[]>();
    const unknownBeforeMs = sources.clock.nowMs() - unknownAfterMs;
    return await compareClose(
      sources,
      { ...known, closes: known.closes },
      reported,
      unknownBeforeMs,
    );
  }
  const picture = await pictureOf(sources, known, events.get(known.id) ?? new Map());
  return compareCopies(picture, sources.clock.nowMs() - unknownAfterMs);
}

function lost(signal: string, channel: string | undefined): Difference {
  const whose = channel === undefined ? {} : { channel };
  return { kind: "ACCEPTANCE_LOST", ...whose, signal, detail: "neither in Redis nor recorded" };
}

async function findOne(
  sources: Sources,
  id: SignalId,
  { accepted }: Traces,
): Promise<Known | undefined> {
  const acceptance = accepted.get(id) ?? (await readStored(sources, id));
  if (acceptance) return knownSignal(acceptance.signal, acceptance.followers);
  const record = await sources.records.signals.get(id);
  return record?.acceptedAtMs === undefined ? undefined : toKnown(record);
}

function toKnown({
  _id,
  channel,
  acceptedAtMs,
  deadlineMs = acceptedAtMs,
  followers,
  closes,
}: SignalRecord): Known {
  const known = { id: _id as SignalId, channel, acceptedAtMs, deadlineMs, followers };
  return closes ? { ...known, closes: closes as readonly SignalId[] } : known;
}

/** A close has no deadline, so it is due from its acceptance on. */
function knownSignal(signal: AcceptedSignal, followers: number): Known {
  const { id, channel, acceptedAtMs } = signal;
  return signal.action === "close"
    ? { id, channel, acceptedAtMs, deadlineMs: acceptedAtMs, followers, closes: signal.closes }
    : { id, channel, acceptedAtMs, deadlineMs: signal.deadlineMs, followers };
}

interface KnownEntry extends LogEntry {
  readonly known: Known;
}

/**
 * The channel's log from a moment on, with the signal before it, from the records
 * or from its stream.
 */
async function readLog(
  { records }: Sources,
  channel: ChannelId,
  sinceMs: number,
  { accepted, links }: Traces,
): Promise<KnownEntry[]> {
  const entries = new Map<string, KnownEntry>();
  for (const record of await recordedSince(records.signals, channel, sinceMs)) {
    const id = record._id as SignalId;
    const { sequence, acceptedAtMs, sha256, previousHash, linkHash } = record;
    const link =
      previousHash !== undefined && linkHash !== undefined
        ? { previousHash, linkHash }
        : links.get(id);
    entries.set(id, {
      signal: { id, channel, sequence, acceptedAtMs },
      sha256,
      known: toKnown(record),
      ...(link ? { link } : {}),
    });
  }
  for (const { signal, sha256, followers } of accepted.values()) {
    if (signal.channel !== channel || entries.has(signal.id)) continue;
    const link = links.get(signal.id);
    const known = knownSignal(signal, followers);
    entries.set(signal.id, { signal, sha256, known, ...(link ? { link } : {}) });
  }
  return [...entries.values()];
}

async function recordedSince(
  signals: Sources["records"]["signals"],
  channel: ChannelId,
  sinceMs: number,
): Promise<SignalRecord[]> {
  for (let limit = 100; ; limit *= 10) {
    const sort = { field: "acceptedAtMs", descending: true };
    const found = await signals.find({ where: { channel }, sort, limit });
    const first = found.findIndex(({ acceptedAtMs }) => acceptedAtMs < sinceMs);
    if (first >= 0) return found.slice(0, first + 1);
    if (found.length < limit || limit >= MAX_SIGNALS) return found;
  }
}

async function readHead(
  { home, partitions }: Sources,
  channel: ChannelId,
): Promise<{ sequence: number; head: { sequence: number; hash: string } | null }> {
  const keys = new HomeKeys(partitions.ofChannel(channel));
  const [sequence, head] = (await Promise.all([
    home.send("HGET", [keys.channel(channel), "sequence"]),
    home.send("GET", [keys.chainHead(channel)]),
  ])) as [string | null, string | null];
  return {
    sequence: Number(sequence ?? 0),
    head: head === null ? null : (JSON.parse(head) as { sequence: number; hash: string }),
  };
}

/** Reads the entries of the three kinds of streams that are recorded. A text says why an entry is not one. */
import * as v from "valibot";
import { SETTLEMENT_KINDS } from "../../domain/contract.ts";
import { ID_PATTERN, isSignalId } from "../../domain/ids.ts";
import type { AcceptedSignal } from "../../domain/signal.ts";
import {
  unpackOutcomes,
  type ChainLink,
  type PackedOutcomes,
  type PlacedTogether,
  type RegionEvent,
  type SettlementsEvent,
} from "../../redis/events.ts";
import { parseSignal } from "../../redis/job.ts";
import type { Entry } from "../consume/entries.ts";

const id = v.pipe(v.string(), v.regex(ID_PATTERN));
const signalId = v.pipe(v.string(), v.check(isSignalId));
const hash = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** Not the list of today's reasons: a worker that is newer than its recorder loses nothing by a new one. */
const reason = v.pipe(v.string(), v.regex(/^[A-Z_]{1,40}$/));

/** Looked at as a whole, as there are hundreds in each of many entries. */
const placedCopies = v.custom<PlacedTogether[3]>(
  (value) =>
    Array.isArray(value) &&
    value.length % 3 === 0 &&
    value.every((item, index) =>
      index % 3 === 2
        ? Number.isSafeInteger(item) && (item as number) >= 0
        : typeof item === "string" && ID_PATTERN.test(item),
    ),
);

const OutcomeSchema = v.variant("kind", [
  v.object({
    kind: v.literal("placed"),
    stakeCents: whole,
    openPriceMicros: whole,
    openedAtMs: whole,
    expiresAtMs: whole,
  }),
  v.object({
    kind: v.literal("rejected"),
    stakeCents: whole,
    reason,
  }),
  v.object({ kind: v.literal("skipped"), reason }),
  v.object({ kind: v.literal("unknown"), stakeCents: whole }),
]);

const EventSchema = v.variant("kind", [
  v.object({
    kind: v.literal("outcomes"),
    signal: signalId,
    broker: id,
    shard: whole,
    acceptedAtMs: whole,
    dispatchedAtMs: whole,
    decidedAtMs: whole,
    sentAtMs: v.nullable(whole),
    answeredAtMs: v.nullable(whole),
    copies: v.array(v.strictTuple([id, id, OutcomeSchema])),
    placed: v.optional(v.array(v.strictTuple([whole, whole, whole, placedCopies]))),
  }),
  v.object({
    kind: v.literal("settlements"),
    broker: id,
    settlements: v.array(
      v.object({
        clientOrderId: v.pipe(
          v.string(),
          v.check((text) => {
            const [signal = "", subscription = "", ...rest] = text.split(".");
            return isSignalId(signal) && ID_PATTERN.test(subscription) && rest.length === 0;
          }),
        ),
        kind: v.picklist(SETTLEMENT_KINDS),
        returnCents: whole,
        closePriceMicros: v.nullable(whole),
        settledAtMs: whole,
      }),
    ),
  }),
]);

const LinkSchema = v.object({
  signal: signalId,
  channel: id,
  sequence: whole,
  previousHash: hash,
  linkHash: hash,
  signature: v.optional(v.string()),
});

export function parseEvent(entry: Entry): RegionEvent | string {
  const event = parse(entry, "event", EventSchema) as PackedOutcomes | SettlementsEvent | string;
  return typeof event === "object" && event.kind === "outcomes" ? unpackOutcomes(event) : event;
}

export function parseLink(entry: Entry): ChainLink | string {
  return parse(entry, "link", LinkSchema) as ChainLink | string;
}

export interface SignalEntry {
  readonly signal: AcceptedSignal;
  readonly sha256: string;
  readonly followers: number;
}

export function parseSignalEntry({ fields }: Entry): SignalEntry | string {
  const signal = parseSignal(fields.get("signal"));
  if (typeof signal === "string") return signal;
  const sha256 = fields.get("sha256") ?? "";
  if (!v.is(hash, sha256)) return "sha256 is not a hash";
  const followers = Number(fields.get("followers") ?? Number.NaN);
  if (!v.is(whole, followers)) return "followers is not a whole number";
  return { signal, sha256, followers };
}

/** The reason names the place and never the value. */
function parse(entry: Entry, field: string, schema: v.GenericSchema): unknown {
  const text = entry.fields.get(field);
  if (text === undefined) return `${field} is missing`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return `${field} is not JSON`;
  }
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  if (parsed.success) return parsed.output;
  return `${field}.${v.getDotPath(parsed.issues[0]) ?? ""} is not of its kind`;
}

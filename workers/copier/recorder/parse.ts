/**
 * Reads the entries of the three kinds of streams that are recorded. If an entry
 * is not valid, it returns a text that says why.
 */
import * as v from "valibot";
import { SETTLEMENT_KINDS } from "../../../domain/products/binary.ts";
import { ID_PATTERN, isSignalId } from "../../../domain/ids.ts";
import type { AcceptedSignal } from "../../../domain/copier/signal.ts";
import {
  unpackClosures,
  unpackOutcomes,
  type ChainLink,
  type ClosedTogether,
  type PackedClosures,
  type PackedOutcomes,
  type PlacedTogether,
  type RegionEvent,
  type SettlementsEvent,
} from "../stored/events.ts";
import { parseSignal } from "../../../redis/job.ts";
import type { Entry } from "../../runtime/entries.ts";

const id = v.pipe(v.string(), v.regex(ID_PATTERN));
const signalId = v.pipe(v.string(), v.check(isSignalId));
const hash = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** Any well-formed reason is allowed, so that a new reason from a newer worker is not lost. */
const reason = v.pipe(v.string(), v.regex(/^[A-Z_]{1,40}$/));

/**
 * Two ids and then amounts, repeated. Checked as a whole, because there are
 * hundreds in each of many entries.
 */
const copiesSchema = <T>(columns: number) =>
  v.custom<T>(
    (value) =>
      Array.isArray(value) &&
      value.length % columns === 0 &&
      value.every((item, index) =>
        index % columns >= 2
          ? Number.isSafeInteger(item) && (item as number) >= 0
          : typeof item === "string" && ID_PATTERN.test(item),
      ),
  );
const placedCopies = copiesSchema<PlacedTogether[3]>(3);
const closedCopies = copiesSchema<ClosedTogether[2]>(4);

const NOT_DONE = [
  v.object({
    kind: v.literal("rejected"),
    stakeCents: whole,
    reason,
  }),
  v.object({ kind: v.literal("skipped"), reason }),
  v.object({ kind: v.literal("unknown"), stakeCents: whole }),
] as const;

const OutcomeSchema = v.variant("kind", [
  v.object({
    kind: v.literal("placed"),
    stakeCents: whole,
    openPriceMicros: whole,
    openedAtMs: whole,
    expiresAtMs: whole,
  }),
  ...NOT_DONE,
]);

const ClosureSchema = v.variant("kind", [
  v.object({
    kind: v.literal("closed"),
    stakeCents: whole,
    returnCents: whole,
    closePriceMicros: whole,
    closedAtMs: whole,
  }),
  ...NOT_DONE,
]);

/** What the events of a job have in common. */
const JOB_FIELDS = {
  signal: signalId,
  broker: id,
  shard: whole,
  acceptedAtMs: whole,
  dispatchedAtMs: whole,
  decidedAtMs: whole,
  sentAtMs: v.nullable(whole),
  answeredAtMs: v.nullable(whole),
};

const EventSchema = v.variant("kind", [
  v.object({
    kind: v.literal("outcomes"),
    ...JOB_FIELDS,
    copies: v.array(v.strictTuple([id, id, OutcomeSchema])),
    placed: v.optional(v.array(v.strictTuple([whole, whole, whole, placedCopies]))),
  }),
  v.object({
    kind: v.literal("closures"),
    ...JOB_FIELDS,
    of: signalId,
    copies: v.array(v.strictTuple([id, id, ClosureSchema])),
    closed: v.optional(v.array(v.strictTuple([whole, whole, closedCopies]))),
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
  const event = parse(entry, "event", EventSchema) as
    PackedOutcomes | PackedClosures | SettlementsEvent | string;
  if (typeof event === "string" || event.kind === "settlements") return event;
  return event.kind === "outcomes" ? unpackOutcomes(event) : unpackClosures(event);
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

/** The reason names the field and never the value. */
function parse(entry: Entry, field: string, schema: v.GenericSchema): unknown {
  const text = entry.fields.get(field);
  if (text === undefined) return `${field} is missing`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message would quote the value.
    return `${field} is not JSON`;
  }
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  if (parsed.success) return parsed.output;
  return `${field}.${v.getDotPath(parsed.issues[0]) ?? ""} is not of its kind`;
}

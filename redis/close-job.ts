/** A job that closes: one shard of what one signal opened, for the workers beside one broker. */
import { ID_PATTERN, isSignalId, type AccountId, type SubscriptionId } from "../domain/ids.ts";
import type { AcceptedClose, AcceptedOpen } from "../domain/copier/signal.ts";
import { parseSignal } from "./job.ts";

/** The part of a close that its jobs need. The jobs themselves say which signals it closes. */
export type CloseHead = Pick<AcceptedClose, "id" | "channel" | "provider" | "acceptedAtMs">;

export interface CloseJob {
  readonly close: CloseHead;
  /** The signal that opened it. */
  readonly of: AcceptedOpen;
  readonly broker: string;
  readonly shard: number;
  /** As in the opening signal's route; the count is 0 if no route led here. */
  readonly version: number;
  readonly count: number;
  /** Only these copies of the shard. */
  readonly only?: OnlyCopies;
  readonly dispatchedAtMs: number;
  /** Until when it was postponed, and how often before. */
  readonly notBeforeMs: number;
  readonly tries: number;
}

export type OnlyCopies = readonly (readonly [SubscriptionId, AccountId])[];

/** A job as the fields of its stream entry: what `parseCloseJob` reads. */
export function closeJobFields(job: CloseJob): string[] {
  return [
    "close",
    JSON.stringify(job.close),
    "of",
    JSON.stringify(job.of),
    "broker",
    job.broker,
    "shard",
    String(job.shard),
    "version",
    String(job.version),
    "count",
    String(job.count),
    "only",
    job.only ? JSON.stringify(job.only) : "",
    "dispatchedAtMs",
    String(job.dispatchedAtMs),
    "notBeforeMs",
    String(job.notBeforeMs),
    "tries",
    String(job.tries),
  ];
}

const NUMBERS = ["shard", "version", "count", "dispatchedAtMs", "notBeforeMs", "tries"] as const;

/** Reads a stream entry's fields; returns a text that says why, if it is not such a job. */
export function parseCloseJob(fields: ReadonlyMap<string, string>): CloseJob | string {
  const of = parseSignal(fields.get("of"));
  if (typeof of === "string") return of;
  if (of.action === "close") return "of is a close";
  const close = parseHead(fields.get("close"));
  if (!close) return "close is not the head of one";
  const broker = fields.get("broker") ?? "";
  if (!ID_PATTERN.test(broker)) return "broker is not an id";
  const numbers = NUMBERS.map((name) => Number(fields.get(name) ?? Number.NaN));
  if (!numbers.every((value) => Number.isSafeInteger(value) && value >= 0)) {
    return `one of ${NUMBERS.join(", ")} is not a whole number`;
  }
  const [shard = 0, version = 0, count = 0, dispatchedAtMs = 0, notBeforeMs = 0, tries = 0] =
    numbers;
  const only = fields.get("only") ?? "";
  return {
    close,
    of,
    broker,
    shard,
    version,
    count,
    dispatchedAtMs,
    notBeforeMs,
    tries,
    ...(only === "" ? {} : { only: JSON.parse(only) as OnlyCopies }),
  };
}

function parseHead(text = ""): CloseHead | undefined {
  try {
    const { id, channel, provider, acceptedAtMs } = JSON.parse(text) as CloseHead;
    const isHead =
      isSignalId(id) && [channel, provider].every((each) => ID_PATTERN.test(each as string));
    return isHead && Number.isSafeInteger(acceptedAtMs)
      ? { id, channel, provider, acceptedAtMs }
      : undefined;
  } catch {
    // Not JSON; the caller says so, without the text.
    return undefined;
  }
}

/** A job: one shard of one signal's followers, for the workers beside one broker. */
import { isSignalId, ID_PATTERN } from "../domain/ids.ts";
import type { AcceptedClose, AcceptedOpen, AcceptedSignal } from "../domain/copier/signal.ts";
import { CONTRACT_TYPES } from "../domain/products/binary.ts";

export interface Job {
  readonly signal: AcceptedOpen;
  readonly broker: string;
  readonly shard: number;
  /** The roster version of the shard at the acceptance: it decides who is copied. */
  readonly version: number;
  readonly count: number;
  readonly dispatchedAtMs: number;
}

/** A job as the fields of its stream entry: what `parseJob` reads. */
export function jobFields(job: Job): string[] {
  return [
    "signal",
    JSON.stringify(job.signal),
    "broker",
    job.broker,
    "shard",
    String(job.shard),
    "version",
    String(job.version),
    "count",
    String(job.count),
    "dispatchedAtMs",
    String(job.dispatchedAtMs),
  ];
}

/** Reads a stream entry's fields; returns a text that says why, if it is not a job. */
export function parseJob(fields: ReadonlyMap<string, string>): Job | string {
  const signal = parseSignal(fields.get("signal"));
  if (typeof signal === "string") return signal;
  if (signal.action === "close") return "signal is a close";
  const broker = fields.get("broker") ?? "";
  if (!ID_PATTERN.test(broker)) return "broker is not an id";
  const numbers = ["shard", "version", "count", "dispatchedAtMs"].map((name) =>
    Number(fields.get(name) ?? Number.NaN),
  );
  if (!numbers.every((value) => Number.isSafeInteger(value) && value >= 0)) {
    return "shard, version, count or dispatchedAtMs is not a whole number";
  }
  const [shard = 0, version = 0, count = 0, dispatchedAtMs = 0] = numbers;
  return { signal, broker, shard, version, count, dispatchedAtMs };
}

/** Reads an accepted signal's JSON; returns a text that says why, if it is not one. */
export function parseSignal(text: string | undefined): AcceptedSignal | string {
  if (text === undefined) return "signal is missing";
  let value: Partial<AcceptedOpen> | (Partial<AcceptedClose> & { readonly action: "close" });
  try {
    value = JSON.parse(text) as typeof value;
  } catch {
    // The parser's message would quote the signal.
    return "signal is not JSON";
  }
  if (typeof value !== "object" || value === null) return "signal is not an object";
  if (typeof value.id !== "string" || !isSignalId(value.id)) return "signal.id is not a signal id";
  for (const name of ["channel", "sender", "provider"] as const) {
    if (typeof value[name] !== "string" || !ID_PATTERN.test(value[name])) {
      return `signal.${name} is not an id`;
    }
  }
  return value.action === "close" ? readClose(value) : readOpen(value);
}

function readOpen(value: Partial<AcceptedOpen>): AcceptedOpen | string {
  if (typeof value.symbol !== "string") return "signal.symbol is not a string";
  if (!CONTRACT_TYPES.includes(value.contract as never))
    return "signal.contract is not CALL or PUT";
  for (const name of [
    "stakeCents",
    "durationSeconds",
    "sequence",
    "acceptedAtMs",
    "deadlineMs",
  ] as const) {
    if (!Number.isSafeInteger(value[name])) return `signal.${name} is not a whole number`;
  }
  return value as AcceptedOpen;
}

function readClose(value: Partial<AcceptedClose>): AcceptedClose | string {
  for (const name of ["sequence", "acceptedAtMs"] as const) {
    if (!Number.isSafeInteger(value[name])) return `signal.${name} is not a whole number`;
  }
  if (!Array.isArray(value.closes) || !value.closes.every((each) => isSignalId(each))) {
    return "signal.closes is not a list of signals";
  }
  return value as AcceptedClose;
}

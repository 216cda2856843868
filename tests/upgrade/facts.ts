/** Facts about a dump beside its data: how to open it, and the required results. */
import type { SignalId } from "../../domain/ids.ts";
import type { Secrets } from "./system.ts";

export const CHANNEL = "demo";
export const HALTED_CHANNEL = "halted";
export const DRAINED_CHANNEL = "drained";
export const PROVIDER = "demo-provider";
export const TRADER = "daytrader";
/** The subscription whose change is recorded and not in Redis yet. */
export const CHANGED_FOLLOWER = "demo-follower-0001";
export const CHANGED_STAKE_CENTS = 333;
/** All are on the roster except the last, who left before the first signal. */
export const FOLLOWERS = 9;
/** The fields that all signals of a dump share, without the duration. */
export const SIGNAL = {
  channel: CHANNEL,
  symbol: "EUR/USD",
  contract: "CALL",
  stakeCents: 500,
} as const;
/** Long enough to be closed, short enough to have expired when the dump is first read. */
export const LONG_SECONDS = 120;
/** `unrecorded` was sent with it, and is sent again. */
export const KEY_HEADER = { "idempotency-key": "before-the-upgrade" } as const;

/** The state of each signal at the dump. */
export interface Signals {
  /** Placed, expired, settled, recorded. */
  readonly settled: SignalId;
  /** Placed, and closed by `close` before it expired; both recorded. */
  readonly closed: SignalId;
  readonly close: SignalId;
  /** Placed, and not recorded. */
  readonly unrecorded: SignalId;
  /** Intents written in at least one partition, and the worker was killed. */
  readonly intended: SignalId;
  /** Booked at the desk, and the worker was killed before it reported. */
  readonly sent: SignalId;
  /** The desk never answered: a question is open. */
  readonly unknown: SignalId;
  /** Jobs that no worker took. */
  readonly enqueued: SignalId;
  /** A close of `unrecorded`, whose jobs no worker took. */
  readonly enqueuedClose: SignalId;
  /** Accepted, and not dispatched to any region. */
  readonly undispatched: SignalId;
}

export interface Facts {
  /** The time from which nothing of the old signals is open. */
  readonly expiredFromMs: number;
  readonly secrets: Secrets;
  readonly signals: Signals;
  /** The edge's answers at the dump, of the signals that were complete then. */
  readonly progress: Readonly<Record<string, Record<string, unknown>>>;
  /** The desk's answers at the dump. */
  readonly summary: Readonly<Record<string, unknown>>;
  readonly balances: Readonly<Record<string, number>>;
  /** The last line of the desk session `upgrade` and its reply. */
  readonly repeated: { readonly line: string; readonly reply: object };
}

/** What a dump says of itself beside what is stored: how it is opened, and what it must become. */
import type { SignalId } from "../../domain/ids.ts";
import type { Secrets } from "./system.ts";

export const CHANNEL = "demo";
export const HALTED_CHANNEL = "halted";
export const DRAINED_CHANNEL = "drained";
export const PROVIDER = "demo-provider";
export const TRADER = "daytrader";
/** Its changed subscription is recorded and not in Redis yet. */
export const CHANGED_FOLLOWER = "demo-follower-0001";
export const CHANGED_STAKE_CENTS = 333;
/** All are on the roster but the last, who left before the first signal. */
export const FOLLOWERS = 9;
/** What all signals of a dump say, but for how long. */
export const SIGNAL = {
  channel: CHANNEL,
  symbol: "EUR/USD",
  contract: "CALL",
  stakeCents: 500,
} as const;
/** Long enough to be closed, short enough to be over when the dump is first read. */
export const LONG_SECONDS = 120;
/** `unrecorded` was sent with it, and is sent again. */
export const KEY_HEADER = { "idempotency-key": "before-the-upgrade" } as const;

/** How far each signal was at the dump. */
export interface Signals {
  /** Done, expired, settled, recorded. */
  readonly settled: SignalId;
  /** Done, and closed by `close` before it expired; both recorded. */
  readonly closed: SignalId;
  readonly close: SignalId;
  /** Done, and nothing of it recorded. */
  readonly unrecorded: SignalId;
  /** Intents in one partition at the least, and the worker was killed. */
  readonly intended: SignalId;
  /** At the desk, and the worker was killed before it reported. */
  readonly sent: SignalId;
  /** The desk never answered: a question is open. */
  readonly unknown: SignalId;
  /** Jobs that nobody took. */
  readonly enqueued: SignalId;
  /** A close of `unrecorded`, whose jobs nobody took. */
  readonly enqueuedClose: SignalId;
  /** Accepted, and no job of it is in any region. */
  readonly undispatched: SignalId;
}

export interface Facts {
  /** From then on nothing of the old signals is open. */
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

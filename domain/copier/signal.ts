/**
 * A signal: what a provider tells a channel to do. It opens a position for
 * every follower, or closes what earlier signals opened: sells it back before
 * it expires. The first product is the binary option (`products/binary.ts`).
 */
import type { ContractType } from "../products/binary.ts";
import type { AccountId, ChannelId, PersonId, SignalId, SubscriptionId } from "../ids.ts";

export interface OpenSignal {
  /** The default action. */
  readonly action?: "open";
  readonly channel: ChannelId;
  readonly symbol: string;
  readonly contract: ContractType;
  /** The provider's own stake, in minor units: what a multiplier plan multiplies. */
  readonly stakeCents: number;
  readonly durationSeconds: number;
}

/**
 * Closes the open positions of the channel's signals: in one symbol, of one signal, or, only by the
 * house, all.
 */
export interface CloseSignal {
  readonly action: "close";
  readonly channel: ChannelId;
  readonly symbol?: string;
  readonly signal?: SignalId;
  /** Set by the house: only copies at this broker. */
  readonly broker?: string;
  /** Set by the house: only these copies, with their places. */
  readonly copies?: readonly PlacedCopy[];
}

export type Signal = OpenSignal | CloseSignal;

/** The place of one follower's copy, as in a route. */
export interface PlacedCopy {
  readonly subscription: SubscriptionId;
  readonly account: AccountId;
  readonly region: string;
  readonly broker: string;
  readonly partition: number;
  readonly shard: number;
}

/** A signal's place in its channel's log. Times are epoch milliseconds of the home Redis' clock. */
interface Accepted {
  readonly id: SignalId;
  readonly sender: PersonId;
  readonly provider: PersonId;
  /** 1, 2, 3 … within the channel, without gaps. */
  readonly sequence: number;
  readonly acceptedAtMs: number;
}

export interface AcceptedOpen extends OpenSignal, Accepted {
  /** No opening order is sent after this time. */
  readonly deadlineMs: number;
}

/** A close has no deadline: it is sent as soon as possible. */
export interface AcceptedClose extends CloseSignal, Accepted {
  /** The signals whose positions it closes, fixed at the acceptance. */
  readonly closes: readonly SignalId[];
}

export type AcceptedSignal = AcceptedOpen | AcceptedClose;

/**
 * How long after its expiry a position may still be open: clocks differ, and the quote for the
 * settlement may be late.
 */
const OPEN_SLACK_MS = 120_000;

/** The time from which nothing of a signal can be open any more. */
export function openUntilMs({ deadlineMs, durationSeconds }: AcceptedOpen): number {
  return deadlineMs + openForMs(durationSeconds);
}

/** How long after its deadline something of a signal may be open. */
export function openForMs(durationSeconds: number): number {
  return durationSeconds * 1000 + OPEN_SLACK_MS;
}

/**
 * The one form of a signal that is hashed, stored and compared: the same signal has the same body,
 * however it was sent.
 */
export function canonicalBody(signal: Signal): string {
  if (signal.action === "close") {
    const { action, broker, channel, copies, signal: target, symbol } = signal;
    return JSON.stringify({ action, broker, channel, copies, signal: target, symbol });
  }
  const { channel, contract, durationSeconds, stakeCents, symbol } = signal;
  return JSON.stringify({ channel, contract, durationSeconds, stakeCents, symbol });
}

/**
 * A signal: what a provider tells a channel to do. The first product is the
 * binary option: will the symbol stand strictly higher (CALL) or lower (PUT)
 * when the duration is over?
 */
import type { ChannelId, PersonId, SignalId } from "./ids.ts";

export const CONTRACT_TYPES = ["CALL", "PUT"] as const;
export type ContractType = (typeof CONTRACT_TYPES)[number];

export const MIN_DURATION_SECONDS = 1;
export const MAX_DURATION_SECONDS = 86_400;

/** `EUR/USD`, `R_100`, `AAPL`. */
export const SYMBOL_PATTERN = /^[A-Z0-9_]{1,12}(?:\/[A-Z0-9_]{1,12})?$/;

export interface Signal {
  readonly channel: ChannelId;
  readonly symbol: string;
  readonly contract: ContractType;
  /** The provider's own stake, in minor units: what a multiplier plan multiplies. */
  readonly stakeCents: number;
  readonly durationSeconds: number;
}

/** A signal with its place in its channel's log. Times are epoch milliseconds of the home Redis' clock. */
export interface AcceptedSignal extends Signal {
  readonly id: SignalId;
  readonly sender: PersonId;
  readonly provider: PersonId;
  /** 1, 2, 3 … within the channel, without gaps. */
  readonly sequence: number;
  readonly acceptedAtMs: number;
  /** No opening order leaves after this. */
  readonly deadlineMs: number;
}

/**
 * The one spelling of a signal that is hashed, stored and compared: however it
 * came in, the same signal has the same body.
 */
export function canonicalBody(signal: Signal): string {
  const { channel, contract, durationSeconds, stakeCents, symbol } = signal;
  return JSON.stringify({ channel, contract, durationSeconds, stakeCents, symbol });
}

/** A channel: where a provider's signals go in, and what holds for all of them. */
import type { ChannelId, PersonId } from "../ids.ts";

/** The fan-out's deadline where a channel sets none. */
export const DEFAULT_DEADLINE_MS = 1_000;

export interface Channel {
  readonly id: ChannelId;
  readonly name: string;
  readonly provider: PersonId;
  /** The symbols that signals of this channel may name. */
  readonly symbols: readonly string[];
  /** How long after its acceptance a signal's opening orders may still leave. */
  readonly deadlineMs: number;
  readonly version: number;
}

/** A channel: where a provider sends signals, and the settings that apply to all of them. */
import type { ChannelId, PersonId } from "../ids.ts";

/** The deadline of a channel that sets none. */
export const DEFAULT_DEADLINE_MS = 1_000;

export interface Channel {
  readonly id: ChannelId;
  readonly name: string;
  readonly provider: PersonId;
  /** The symbols that signals of this channel may name. */
  readonly symbols: readonly string[];
  /** How long after its acceptance a signal's opening orders may still be sent. */
  readonly deadlineMs: number;
  readonly version: number;
}

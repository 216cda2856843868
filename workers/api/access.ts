/** Who may see and send what. */
import type { PersonId } from "../../domain/ids.ts";
import type { ChannelRecord, Records } from "../records/port.ts";

/** Whether the person may send to the channel: its provider and people with a grant may. */
export function sendsTo(channel: ChannelRecord, person: PersonId): boolean {
  return channel.provider === person || Object.hasOwn(channel.grants, person);
}

/** The channels that a person may send to. */
export async function sentChannels(records: Records, person: PersonId): Promise<Set<string>> {
  const found = new Set<string>();
  for await (const channel of records.channels.each({})) {
    if (sendsTo(channel, person)) found.add(channel._id);
  }
  return found;
}

/**
 * The channels whose signals a person may read: those to which they may send, and those that they
 * follow now.
 */
export async function readChannels(
  records: Records,
  person: PersonId,
  nowMs: number,
): Promise<Set<string>> {
  const found = await sentChannels(records, person);
  for await (const { channel, state, expiresAtMs } of records.subscriptions.each({
    follower: person,
  })) {
    if (state !== "left" && expiresAtMs > nowMs) found.add(channel);
  }
  return found;
}

/** Who may see and send what. */
import { parseScope } from "../../domain/copier/scope.ts";
import type { PersonId } from "../../domain/ids.ts";
import type { ChannelRecord, Records } from "../records/port.ts";
import type { Caller } from "./tokens.ts";

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

/** Unknown: the scope is not shown. */
export type ScopeAccess = "unknown" | "read" | "change";

/**
 * What a caller may do with the stop and the settings of a scope. An
 * administrator may change any, a provider those of their channels, a follower
 * their own. Anyone may read the scopes above a channel's followers.
 */
export async function accessTo(
  { channels }: Pick<Records, "channels">,
  scope: string,
  { person, permissions }: Caller,
): Promise<ScopeAccess> {
  const { kind, id } = parseScope(scope) ?? {};
  if (kind === undefined || id === undefined) return "unknown";
  if (permissions.has("records:admin")) return "change";
  if (kind === "follower") return id === person ? "change" : "unknown";
  if (kind === "platform" || kind === "broker") return "read";
  const where = kind === "channel" ? { _id: id } : { provider: id };
  const [channel] = await channels.find({ where, limit: 1 });
  if (!channel) return "unknown";
  return channel.provider === person ? "change" : "read";
}

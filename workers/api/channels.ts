/** Channels, as everyone may see them. */
import * as v from "valibot";
import { ID_PATTERN, type PersonId } from "../../domain/ids.ts";
import { failure } from "../../domain/result.ts";
import { count } from "../../http/field.ts";
import { reply } from "../../http/operation.ts";
import { NEXT, pageFields, readPage } from "../../http/page.ts";
import { afterId, type ChannelRecord } from "../records/port.ts";
import { sendsTo } from "./access.ts";
import type { Api, RecordsService } from "./api.ts";

const Channel = v.object({
  id: v.string(),
  name: v.string(),
  provider: v.string(),
  symbols: v.array(v.string()),
  deadlineMs: count,
  /** Whether the caller is its provider or has a grant. */
  maySend: v.boolean(),
});

export function serveChannels(service: RecordsService, { records }: Api): void {
  service.serve({
    method: "GET",
    path: "/v1/channels",
    operationId: "listChannels",
    summary: "The channels",
    permission: "records:read",
    query: v.strictObject(pageFields(1_000)),
    answers: {
      200: { description: "By id.", body: v.object({ channels: v.array(Channel), ...NEXT }) },
    },
    problems: [],
    async handle({ query, caller }) {
      const { after, limit: most } = query;
      const { items, next } = await readPage(
        most,
        (limit) => records.channels.find({ limit, after: afterId(after) }),
        ({ _id }) => _id,
      );
      return reply({ channels: items.map((channel) => shown(channel, caller.person)), next });
    },
  });

  service.serve({
    method: "GET",
    path: "/v1/channels/:id",
    operationId: "readChannel",
    summary: "A channel",
    permission: "records:read",
    params: { id: { pattern: ID_PATTERN, unknown: "CHANNEL_UNKNOWN" } },
    answers: { 200: { description: "The channel.", body: Channel } },
    problems: [],
    async handle({ params, caller }) {
      const found = await records.channels.get(params.id);
      return found ? reply(shown(found, caller.person)) : failure("CHANNEL_UNKNOWN");
    },
  });
}

function shown(channel: ChannelRecord, person: PersonId): object {
  const { _id, name, provider, symbols, deadlineMs } = channel;
  return { id: _id, name, provider, symbols, deadlineMs, maySend: sendsTo(channel, person) };
}

/** Channels, as anyone who looks for one to follow sees them. */
import type { Hono } from "hono";
import type { PersonId } from "../../domain/ids.ts";
import type { ChannelRecord } from "../records/port.ts";
import { sendsTo } from "./access.ts";
import type { Api } from "./api.ts";
import { reply, serve } from "./operation.ts";
import { failure } from "../../domain/result.ts";
import { ChannelAnswer, ChannelsAnswer } from "./schemas.ts";

const MAX_CHANNELS = 1_000;

export function serveChannels(app: Hono, { records, tokens }: Api): void {
  serve(
    app,
    tokens,
    "records:read",
    {
      method: "GET",
      path: "/v1/channels",
      operationId: "listChannels",
      summary: "The channels",
      answers: { 200: ["The first thousand, by id.", ChannelsAnswer] },
      problems: [],
    },
    async (_, { person }) => {
      const found = await records.channels.find({ limit: MAX_CHANNELS });
      return reply({ channels: found.map((channel) => shown(channel, person)) });
    },
  );

  serve(
    app,
    tokens,
    "records:read",
    {
      method: "GET",
      path: "/v1/channels/:id",
      operationId: "readChannel",
      summary: "A channel",
      answers: { 200: ["The channel.", ChannelAnswer] },
      problems: ["CHANNEL_UNKNOWN"],
    },
    async ({ id }, { person }) => {
      const found = await records.channels.get(id);
      return found ? reply(shown(found, person)) : failure("CHANNEL_UNKNOWN");
    },
  );
}

function shown(channel: ChannelRecord, person: PersonId): object {
  const { _id, name, provider, symbols, deadlineMs } = channel;
  return { id: _id, name, provider, symbols, deadlineMs, maySend: sendsTo(channel, person) };
}

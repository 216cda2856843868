/**
 * A follower's own subscriptions. A change is recorded first, with its next
 * version and in the outbox, and then projected at once: what was answered
 * stands, and holds for signals accepted from a second later at the latest.
 */
import { nameOf } from "../runtime/error-name.ts";
import { getLogger } from "@logtape/logtape";
import type { Hono } from "hono";
import {
  asId,
  ID_PATTERN,
  type AccountId,
  type ChannelId,
  type PersonId,
} from "../../domain/ids.ts";
import type { SubscriptionRecord } from "../records/port.ts";
import type { Api } from "./api.ts";
import { reply, serve, type Reply } from "./operation.ts";
import { failure, success, type Result } from "../../domain/result.ts";
import {
  OfChannel,
  SubscriptionAnswer,
  SubscriptionBody,
  SubscriptionChange,
  SubscriptionsAnswer,
} from "./schemas.ts";

const MAX_SUBSCRIPTIONS = 1_000;
/** Of two who change the same subscription at once, one reads again. */
const MAX_TRIES = 5;

type Draft = Omit<SubscriptionRecord, "_id" | "version" | "outbox">;

export function serveSubscriptions(app: Hono, api: Api): void {
  const { records, tokens } = api;

  serve(
    app,
    tokens,
    "records:read",
    {
      method: "GET",
      path: "/v1/subscriptions",
      operationId: "listSubscriptions",
      summary: "The caller's subscriptions",
      query: OfChannel,
      answers: { 200: ["The first thousand, by id.", SubscriptionsAnswer] },
      problems: [],
    },
    async ({ query: { channel } }, { person }) => {
      const where = { follower: person, ...(channel === undefined ? {} : { channel }) };
      const found = await records.subscriptions.find({ where, limit: MAX_SUBSCRIPTIONS });
      return reply({ subscriptions: found.map(shown) });
    },
  );

  serve(
    app,
    tokens,
    "records:write",
    {
      method: "PUT",
      path: "/v1/subscriptions/:id",
      operationId: "putSubscription",
      summary: "Subscribe one of the caller's broker accounts to a channel, or change how",
      body: SubscriptionBody,
      answers: {
        200: ["It stands as asked.", SubscriptionAnswer],
        201: ["Subscribed.", SubscriptionAnswer],
      },
      problems: [
        "SUBSCRIPTION_UNKNOWN",
        "SUBSCRIPTION_FIXED",
        "CHANNEL_UNKNOWN",
        "BROKER_ACCOUNT_UNKNOWN",
      ],
    },
    async ({ id, body }, { person }) => {
      const [channel, account] = await Promise.all([
        records.channels.get(body.channel),
        records.accounts.get(body.account),
      ]);
      return await change(api, id, person, (current) => {
        if (!channel) return failure("CHANNEL_UNKNOWN");
        if (account?.person !== person) return failure("BROKER_ACCOUNT_UNKNOWN");
        if (current && (current.channel !== body.channel || current.account !== body.account)) {
          return failure("SUBSCRIPTION_FIXED");
        }
        return success({
          ...body,
          channel: asId<ChannelId>(body.channel),
          account: asId<AccountId>(body.account),
          follower: person,
          broker: account.broker,
          region: account.region,
        });
      });
    },
  );

  serve(
    app,
    tokens,
    "records:write",
    {
      method: "PATCH",
      path: "/v1/subscriptions/:id",
      operationId: "changeSubscription",
      summary: "Pause, resume or leave, or change the plan or the end",
      body: SubscriptionChange,
      answers: { 200: ["It stands as asked.", SubscriptionAnswer] },
      problems: ["SUBSCRIPTION_UNKNOWN"],
    },
    async ({ id, body }, { person }) =>
      await change(api, id, person, (current) => {
        if (!current) return failure("SUBSCRIPTION_UNKNOWN");
        const { _id, version, outbox, ...rest } = current;
        return success({ ...rest, ...body });
      }),
  );
}

/** Someone else's subscription is as unknown as none. */
async function change(
  api: Api,
  id: string,
  person: PersonId,
  draft: (current: SubscriptionRecord | undefined) => Result<Draft>,
): Promise<Reply> {
  const { subscriptions } = api.records;
  if (!ID_PATTERN.test(id)) return failure("SUBSCRIPTION_UNKNOWN");
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const current = await subscriptions.get(id);
    if (current && current.follower !== person) return failure("SUBSCRIPTION_UNKNOWN");
    const wanted = draft(current);
    if (!wanted.ok) return wanted;
    const version = (current?.version ?? 0) + 1;
    const next: SubscriptionRecord = { _id: id, ...wanted.value, version, outbox: true };
    // Sent again: it stands already, and needs no version of its own.
    if (current && sameBut(current, next)) return reply(shown(current));
    if ((await subscriptions.putNewer([next])) === 0) continue;
    await project(api, next);
    return reply(shown(next), current ? 200 : 201);
  }
  return failure("RECORDS_UNAVAILABLE");
}

async function project({ project: projectNow }: Api, changed: SubscriptionRecord): Promise<void> {
  try {
    await projectNow(changed);
  } catch (error) {
    getLogger(["fanfare", "records"]).warn(
      "a change could not be projected yet; the outbox has it: {error}",
      { error: nameOf(error) },
    );
  }
}

function sameBut(current: SubscriptionRecord, next: SubscriptionRecord): boolean {
  return Bun.deepEquals({ ...current, version: 0, outbox: true }, { ...next, version: 0 });
}

function shown({ outbox: _, follower: __, _id, ...rest }: SubscriptionRecord): object {
  return { id: _id, ...rest };
}

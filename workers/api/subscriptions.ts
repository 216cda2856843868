/**
 * A follower's own subscriptions, at most one live one of an account to a channel. A
 * change is recorded first, with its next version and in the outbox, and then
 * projected at once: it holds for signals accepted from a second later at the latest.
 */
import { getLogger } from "@logtape/logtape";
import type { Hono } from "hono";
import { asId, type AccountId, type ChannelId, type PersonId } from "../../domain/ids.ts";
import { liveKeyOf } from "../records/live-key.ts";
import type { Records, SubscriptionRecord } from "../records/port.ts";
import type { Api } from "./api.ts";
import { reply, serve, type Reply } from "./operation.ts";
import { failure, success, type Failure, type Result } from "../../domain/result.ts";
import {
  OfChannel,
  SubscriptionAnswer,
  SubscriptionBody,
  SubscriptionChange,
  SubscriptionsAnswer,
} from "./schemas.ts";

const MAX_SUBSCRIPTIONS = 1_000;
/** Of one person. */
export const MAX_LIVE = 100;
const LIVE_STATES = ["active", "paused"] as const;
/** Of two who change the same subscription at once, one reads again. */
const MAX_TRIES = 5;

type Draft = Omit<SubscriptionRecord, "_id" | "version" | "outbox" | "liveKey">;

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
      method: "POST",
      path: "/v1/subscriptions",
      operationId: "subscribe",
      summary: "Subscribe one of the caller's broker accounts to a channel, or change how",
      body: SubscriptionBody,
      answers: {
        200: ["The account's subscription to the channel is as asked.", SubscriptionAnswer],
        201: ["Subscribed.", SubscriptionAnswer],
      },
      problems: [
        "CHANNEL_UNKNOWN",
        "BROKER_ACCOUNT_UNKNOWN",
        "SUBSCRIPTION_EXISTS",
        "SUBSCRIPTION_LIMIT",
        "CHANGES_LIMITED",
      ],
    },
    async ({ body }, { person }) => {
      const [channel, account] = await Promise.all([
        records.channels.get(body.channel),
        records.accounts.get(body.account),
      ]);
      if (!channel) return failure("CHANNEL_UNKNOWN");
      if (account?.person !== person) return failure("BROKER_ACCOUNT_UNKNOWN");
      const wanted = {
        ...body,
        channel: asId<ChannelId>(body.channel),
        account: asId<AccountId>(body.account),
        follower: person,
        broker: account.broker,
        region: account.region,
      };
      return await change(api, person, async () => {
        const current = await standing(records, wanted);
        return success({ current, id: current?._id ?? subscriptionId(wanted), wanted });
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
      answers: { 200: ["It is as asked.", SubscriptionAnswer] },
      problems: [
        "SUBSCRIPTION_UNKNOWN",
        "SUBSCRIPTION_EXISTS",
        "SUBSCRIPTION_LIMIT",
        "CHANGES_LIMITED",
      ],
    },
    async ({ id, body }, { person }) =>
      await change(api, person, async () => {
        const current = await records.subscriptions.get(id);
        // Someone else's subscription is as unknown as none.
        if (current?.follower !== person) return failure("SUBSCRIPTION_UNKNOWN");
        const { _id, version, outbox, liveKey, ...rest } = current;
        return success({ current, id, wanted: { ...rest, ...body } });
      }),
  );
}

/** Ours, and always the same of one account and channel: asked twice at once, one is made. */
function subscriptionId({ account, channel }: Pick<Draft, "account" | "channel">): string {
  const digest = new Bun.CryptoHasher("sha256").update(`${account}/${channel}`).digest();
  return `sub_${digest.subarray(0, 16).toString("base64url")}`;
}

/** The account's live subscription to the channel, else one that it has left: those made before ids were ours have others. */
async function standing(
  { subscriptions }: Records,
  { account, channel }: Pick<Draft, "account" | "channel">,
): Promise<SubscriptionRecord | undefined> {
  const found = await subscriptions.find({ where: { account, channel } });
  return found.find(({ state }) => state !== "left") ?? found[0];
}

interface Change {
  readonly id: string;
  readonly current: SubscriptionRecord | undefined;
  readonly wanted: Draft;
}

/** Reads what is and what is wanted, again where someone else changed it at the same time. */
async function change(
  api: Api,
  person: PersonId,
  read: () => Promise<Result<Change>>,
): Promise<Reply> {
  const { subscriptions } = api.records;
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const asked = await read();
    if (!asked.ok) return asked;
    const { id, current, wanted } = asked.value;
    const version = (current?.version ?? 0) + 1;
    const next: SubscriptionRecord = {
      _id: id,
      ...wanted,
      version,
      outbox: true,
      ...liveKeyOf(wanted),
    };
    // Sent again: it is so already, and needs no version of its own.
    if (current && sameBut(current, next)) return reply(shown(current));
    if (tries === 0 && !api.mayChange(person)) return failure("CHANGES_LIMITED");
    const starts = next.state !== "left" && (current?.state ?? "left") === "left";
    const refused = starts ? await refusal(api.records, next, 0) : undefined;
    if (refused) return refused;
    if ((await subscriptions.putNewer([next])) === 0) continue;
    // Looked at again, now that it counts: of several at once none gets past the bound.
    const late = starts ? await refusal(api.records, next, 1) : undefined;
    if (late) {
      const { liveKey: _, ...left } = { ...next, state: "left" as const, version: version + 1 };
      await subscriptions.putNewer([left]);
      return late;
    }
    await project(api, next);
    return reply(shown(next), current ? 200 : 201);
  }
  return failure("RECORDS_UNAVAILABLE");
}

/** Why a subscription may not become live; `counted` is 1 where it is recorded already. */
async function refusal(
  { subscriptions }: Records,
  { _id, account, channel, follower }: SubscriptionRecord,
  counted: 0 | 1,
): Promise<Failure | undefined> {
  const others = await subscriptions.find({ where: { account, channel, state: LIVE_STATES } });
  if (others.some((each) => each._id !== _id)) return failure("SUBSCRIPTION_EXISTS");
  const [live] = await subscriptions.group({ where: { follower, state: LIVE_STATES }, by: [] });
  const count = (live?.count ?? 0) - counted;
  return count >= MAX_LIVE ? failure("SUBSCRIPTION_LIMIT") : undefined;
}

async function project({ project: projectNow }: Api, changed: SubscriptionRecord): Promise<void> {
  try {
    await projectNow(changed);
  } catch {
    getLogger(["fanfare", "records"]).warn(
      "a change could not be projected yet; the outbox has it",
    );
  }
}

function sameBut(current: SubscriptionRecord, next: SubscriptionRecord): boolean {
  const { liveKey: _, ...before } = current;
  const { liveKey: __, ...after } = next;
  return Bun.deepEquals({ ...before, version: 0, outbox: true }, { ...after, version: 0 });
}

function shown({
  outbox: _,
  follower: __,
  liveKey: ___,
  _id,
  ...rest
}: SubscriptionRecord): object {
  return { id: _id, ...rest };
}

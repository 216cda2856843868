/**
 * A follower's own subscriptions: an account has at most one live subscription to a channel. A
 * change is recorded first, with its next version and its outbox mark, and then projected at once.
 * It applies to signals that are accepted at most a second later.
 */
import { nameOf } from "../../http/place.ts";
import { getLogger } from "@logtape/logtape";
import * as v from "valibot";
import {
  asId,
  ID_PATTERN,
  type AccountId,
  type ChannelId,
  type PersonId,
} from "../../domain/ids.ts";
import { failure, success, type Failure, type Result } from "../../domain/result.ts";
import { SUBSCRIPTION_STATES } from "../../domain/copier/subscription.ts";
import { json } from "../../http/body.ts";
import type { Precondition } from "../../http/etag.ts";
import { count, id, time } from "../../http/field.ts";
import { noContent, reply, type Reply } from "../../http/operation.ts";
import { NEXT, pageFields, readPage } from "../../http/page.ts";
import { deriveLiveKey } from "../records/live-key.ts";
import { afterId, type Records, type SubscriptionRecord } from "../records/port.ts";
import type { Api, RecordsService } from "./api.ts";
import { Plan } from "./plan.ts";

/** The most live subscriptions of one person. */
export const MAX_LIVE = 100;
const LIVE_STATES = ["active", "paused"] as const;
/** When two requests change the same subscription at once, one of them reads again. */
const MAX_TRIES = 5;

type Draft = Omit<SubscriptionRecord, "_id" | "version" | "outbox" | "liveKey">;

const state = v.picklist(SUBSCRIPTION_STATES, `must be one of ${SUBSCRIPTION_STATES.join(", ")}`);

const SubscriptionBody = v.strictObject({
  channel: id,
  account: id,
  plan: Plan,
  expiresAtMs: time,
  state: v.optional(v.picklist(LIVE_STATES, `must be ${LIVE_STATES.join(" or ")}`), "active"),
});

const SubscriptionChange = v.strictObject({
  plan: v.exactOptional(Plan),
  expiresAtMs: v.exactOptional(time),
  state: v.exactOptional(state),
});

const Shown = v.object({
  id: v.string(),
  channel: v.string(),
  account: v.string(),
  broker: v.string(),
  region: v.string(),
  state: v.picklist(SUBSCRIPTION_STATES),
  expiresAtMs: count,
  plan: Plan,
  version: count,
});

const ID = { pattern: ID_PATTERN, unknown: "SUBSCRIPTION_UNKNOWN" } as const;
const OF_CHANGES = ["SUBSCRIPTION_EXISTS", "SUBSCRIPTION_LIMIT", "CHANGES_LIMITED"] as const;

export function serveSubscriptions(service: RecordsService, api: Api): void {
  const { records } = api;

  service.serve({
    method: "GET",
    path: "/v1/subscriptions",
    operationId: "listSubscriptions",
    summary: "The caller's subscriptions",
    permission: "records:read",
    query: v.strictObject({ channel: v.optional(id), ...pageFields(1_000) }),
    answers: {
      200: { description: "By id.", body: v.object({ subscriptions: v.array(Shown), ...NEXT }) },
    },
    problems: [],
    async handle({ query: { channel, after, limit: most }, caller }) {
      const where = { follower: caller.person, ...(channel === undefined ? {} : { channel }) };
      const { items, next } = await readPage(
        most,
        (limit) => records.subscriptions.find({ where, after: afterId(after), limit }),
        ({ _id }) => _id,
      );
      return reply({ subscriptions: items.map(shown), next });
    },
  });

  service.serve({
    method: "POST",
    path: "/v1/subscriptions",
    operationId: "subscribe",
    summary: "Subscribe one of the caller's broker accounts to a channel, or change how",
    permission: "records:write",
    body: json(SubscriptionBody),
    versioned: true,
    answers: {
      200: {
        description: "The account's subscription to the channel is as requested.",
        body: Shown,
      },
      201: { description: "Subscribed.", body: Shown },
    },
    problems: ["CHANNEL_UNKNOWN", "BROKER_ACCOUNT_UNKNOWN", ...OF_CHANGES],
    async handle({ body, caller: { person }, precondition }) {
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
      return await change(api, person, precondition, async () => {
        const current = await standing(records, wanted);
        return success({ current, id: current?._id ?? subscriptionId(wanted), wanted });
      });
    },
  });

  service.serve({
    method: "GET",
    path: "/v1/subscriptions/:id",
    operationId: "readSubscription",
    summary: "One of the caller's subscriptions",
    permission: "records:read",
    params: { id: ID },
    versioned: true,
    answers: { 200: { description: "The subscription.", body: Shown } },
    problems: [],
    async handle({ params, caller }) {
      const found = await own(records, params.id, caller.person);
      return found.ok ? reply(shown(found.value), { version: found.value.version }) : found;
    },
  });

  service.serve({
    method: "PATCH",
    path: "/v1/subscriptions/:id",
    operationId: "changeSubscription",
    summary: "Pause, resume or leave, or change the plan or the end",
    permission: "records:write",
    params: { id: ID },
    body: json(SubscriptionChange),
    versioned: true,
    answers: { 200: { description: "The subscription is as requested.", body: Shown } },
    problems: OF_CHANGES,
    handle: async ({ params, body, caller: { person }, precondition }) =>
      await change(api, person, precondition, async () => {
        const current = await own(records, params.id, person);
        if (!current.ok) return current;
        const wanted = { ...toDraft(current.value), ...body };
        return success({ current: current.value, id: params.id, wanted });
      }),
  });

  service.serve({
    method: "DELETE",
    path: "/v1/subscriptions/:id",
    operationId: "leaveSubscription",
    summary: "Leave: nothing more is copied, and the record stays",
    permission: "records:write",
    params: { id: ID },
    versioned: true,
    answers: { 204: { description: "It has ended." } },
    problems: ["CHANGES_LIMITED"],
    async handle({ params, caller: { person }, precondition }) {
      const left = await change(api, person, precondition, async () => {
        const current = await own(records, params.id, person);
        if (!current.ok) return current;
        const wanted = { ...toDraft(current.value), state: "left" as const };
        return success({ current: current.value, id: params.id, wanted });
      });
      return left.ok ? noContent() : left;
    },
  });
}

/** Another person's subscription counts as unknown. */
async function own(
  { subscriptions }: Records,
  subscription: string,
  person: PersonId,
): Promise<Result<SubscriptionRecord>> {
  const found = await subscriptions.get(subscription);
  return found?.follower === person ? success(found) : failure("SUBSCRIPTION_UNKNOWN");
}

function toDraft({ _id, version, outbox, liveKey, ...draft }: SubscriptionRecord): Draft {
  return draft;
}

/**
 * The server's id, always the same for one account and channel: two requests at once create one
 * subscription.
 */
function subscriptionId({ account, channel }: Pick<Draft, "account" | "channel">): string {
  const digest = new Bun.CryptoHasher("sha256").update(`${account}/${channel}`).digest();
  return `sub_${digest.subarray(0, 16).toString("base64url")}`;
}

/**
 * The account's live subscription to the channel, else one that it has left. Old subscriptions have
 * ids that the server did not choose.
 */
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

/**
 * Reads the current state and makes the change, again if another request changed it at the same
 * time.
 */
async function change(
  api: Api,
  person: PersonId,
  precondition: Precondition,
  read: () => Promise<Result<Change>>,
): Promise<Reply> {
  const { subscriptions } = api.records;
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const asked = await read();
    if (!asked.ok) return asked;
    const { current, wanted } = asked.value;
    const stale = precondition.refusal(current?.version ?? 0);
    if (stale) return stale;
    const version = (current?.version ?? 0) + 1;
    const next: SubscriptionRecord = {
      _id: asked.value.id,
      ...wanted,
      version,
      outbox: true,
      ...deriveLiveKey(wanted),
    };
    // A repeated request: nothing changes, and no new version is needed.
    if (current && sameBut(current, next)) {
      return reply(shown(current), { version: current.version });
    }
    if (tries === 0 && !api.mayChange(person)) return failure("CHANGES_LIMITED");
    const starts = next.state !== "left" && (current?.state ?? "left") === "left";
    const refused = starts ? await refusal(api.records, next, 0) : undefined;
    if (refused) return refused;
    if ((await subscriptions.putNewer([next])) === 0) continue;
    // Counted again after the write: of several at once none exceeds the limit.
    const late = starts ? await refusal(api.records, next, 1) : undefined;
    if (late) {
      const { liveKey: _, ...left } = { ...next, state: "left" as const, version: version + 1 };
      await subscriptions.putNewer([left]);
      return late;
    }
    await project(api, next);
    return reply(shown(next), { status: current ? 200 : 201, version });
  }
  return failure("RECORDS_UNAVAILABLE");
}

/** Why a subscription may not become live; `counted` is 1 if it is already recorded. */
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
  } catch (error) {
    getLogger(["fanfare", "records"]).warn(
      "a change could not be projected yet; the outbox has it: {error}",
      { error: nameOf(error) },
    );
  }
}

function sameBut(current: SubscriptionRecord, next: SubscriptionRecord): boolean {
  return Bun.deepEquals(toDraft(current), toDraft(next));
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

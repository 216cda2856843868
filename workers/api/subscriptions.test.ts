/** Parallel subscribing at two servers, on the records of each driver. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { exportJWK, generateKeyPair } from "jose";
import { asId, type AccountId, type ChannelId, type PersonId } from "../../domain/ids.ts";
import { recordsDrivers } from "../../tests/support/records.ts";
import type { Records, SubscriptionRecord } from "../records/port.ts";
import { createApp } from "./app.ts";
import { createSignIn } from "./sign-in.ts";
import { MAX_LIVE } from "./subscriptions.ts";
import { createTokens } from "./tokens.ts";

setDefaultTimeout(60_000);

const CHANNEL = asId<ChannelId>("demo");
const FAR_MS = 4_000_000_000_000;
const PLAN = { sizing: { kind: "fixed", stakeCents: 300 } } as const;
const { privateKey } = await generateKeyPair("EdDSA", { extractable: true });
const tokens = await createTokens(await exportJWK(privateKey), Date.now);

describe.each(await recordsDrivers())("subscriptions in $name", ({ open }) => {
  let records: Records;
  let other: Records;
  let servers: Server[];
  beforeAll(async () => {
    [records, other] = await Promise.all([open(), open()]);
    servers = [await createServer(records), await createServer(other)];
    const channel = { name: "Demo", symbols: [], deadlineMs: 1_000, grants: {} };
    const provider = asId<PersonId>("provider");
    await records.channels.putNewer(
      [CHANNEL, ...Array.from({ length: MAX_LIVE + 7 }, (_, n) => `c${n}`)].map((_id) => ({
        _id,
        ...channel,
        provider,
        version: 1,
        outbox: false,
      })),
    );
  });
  afterAll(async () => {
    await Promise.all([records.close(), other.close()]);
  });

  const live = async (account: string): Promise<string[]> =>
    (await records.subscriptions.find({ where: { account, state: ["active", "paused"] } })).map(
      ({ _id }) => _id,
    );

  test("an account that subscribes many times at once has one subscription, and each answer names it", async () => {
    const { account, token } = await follower(records, "many");
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) => subscribe(servers[n % 2]!, token, account)),
    );
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      ...Array.from({ length: 9 }, () => 200),
      201,
    ]);
    expect(new Set(answers.map(({ body }) => body["id"])).size).toBe(1);
    expect(await live(account)).toEqual([String(answers[0]?.body["id"])]);
    expect((await records.subscriptions.find({ where: { account } }))[0]?.version).toBe(1);
  });

  test("a seeded subscription is its account's live one, and continues after it was left", async () => {
    const { account, person, token } = await follower(records, "seeded");
    await records.subscriptions.putNewer([seeded("demo-sub-0001", account, person)]);
    const changed = await subscribe(servers[0]!, token, account, { state: "paused" });
    expect([changed.status, changed.body["id"], changed.body["version"]]).toEqual([
      200,
      "demo-sub-0001",
      2,
    ]);
    const path = "/v1/subscriptions/demo-sub-0001";
    expect((await call(servers[1]!, "PATCH", path, token, { state: "left" })).status).toBe(200);
    const again = await subscribe(servers[1]!, token, account);
    expect([again.status, again.body["id"]]).toEqual([200, "demo-sub-0001"]);
    expect(await live(account)).toEqual(["demo-sub-0001"]);
  });

  test("of two old subscriptions that are resumed at once, one is live and the other is refused with a code", async () => {
    const { account, person, token } = await follower(records, "resumed");
    const ids = ["old-a", "old-b", "old-c"];
    await records.subscriptions.putNewer(
      ids.map((id) => ({ ...seeded(id, account, person), state: "left" as const })),
    );
    const answers = await Promise.all(
      ids.map((id, n) =>
        call(servers[n % 2]!, "PATCH", `/v1/subscriptions/${id}`, token, { state: "active" }),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409, 409]);
    expect(answers.flatMap(({ body }) => body["code"] ?? [])).toEqual([
      "SUBSCRIPTION_EXISTS",
      "SUBSCRIPTION_EXISTS",
    ]);
    expect(await live(account)).toHaveLength(1);
  });

  test("a person's live subscriptions are limited, also when several are requested at once", async () => {
    const { account, person, token } = await follower(records, "busy");
    await records.subscriptions.putNewer(
      Array.from({ length: MAX_LIVE - 1 }, (_, n) => ({
        ...seeded(`busy-${n}`, account, person),
        channel: asId<ChannelId>(`c${n}`),
      })),
    );
    const channels = Array.from({ length: 6 }, (_, n) => `c${MAX_LIVE + n}`);
    const answers = await Promise.all(
      channels.map((channel, n) => subscribe(servers[n % 2]!, token, account, { channel })),
    );
    expect(answers.filter(({ status }) => status === 201).length).toBeLessThanOrEqual(1);
    expect((await live(account)).length).toBeLessThanOrEqual(MAX_LIVE);
    const over = [];
    // The last of them is new: one of the others may have become live above.
    for (const channel of [...channels, `c${MAX_LIVE + channels.length}`]) {
      over.push(await subscribe(servers[0]!, token, account, { channel }));
    }
    expect((await live(account)).length).toBe(MAX_LIVE);
    expect(over.at(-1)).toMatchObject({ status: 409, body: { code: "SUBSCRIPTION_LIMIT" } });
  });
});

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}
type Server = (request: Request) => Response | Promise<Response>;

async function createServer(records: Records): Promise<Server> {
  const app = createApp({
    records,
    tokens,
    signIn: await createSignIn(records, Date.now),
    project: async () => {},
    projectSettings: async () => {},
    mayChange: () => true,
    mayStop: () => true,
    changeStop: () => Promise.reject(new Error("no test of stops")),
    clock: Date.now,
  });
  return (request) => app.fetch(request);
}

/** A person with one account. */
async function follower(records: Records, name: string) {
  const person = asId<PersonId>(name);
  const account = asId<AccountId>(`acct-${name}`);
  await records.accounts.merge([{ _id: account, person, broker: "desk", region: "local" }]);
  const { token } = await tokens.issue(person, ["records:read", "records:write"]);
  return { person, account, token };
}

async function subscribe(
  server: Server,
  token: string,
  account: string,
  changes: object = {},
): Promise<Answer> {
  const body = { channel: CHANNEL, account, plan: PLAN, expiresAtMs: FAR_MS, ...changes };
  return await call(server, "POST", "/v1/subscriptions", token, body);
}

async function call(
  server: Server,
  method: string,
  path: string,
  token: string,
  body: object,
): Promise<Answer> {
  const response = await server(
    new Request(`http://records${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    }),
  );
  return { status: response.status, body: (await response.json()) as Answer["body"] };
}

/** Like the demo's, without a live key: they are older than live keys. */
function seeded(id: string, account: AccountId, follower: PersonId): SubscriptionRecord {
  return {
    _id: id,
    channel: CHANNEL,
    follower,
    account,
    broker: "desk",
    region: "local",
    state: "active",
    expiresAtMs: FAR_MS,
    plan: PLAN,
    version: 1,
    outbox: false,
  };
}

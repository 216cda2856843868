/** The records API over HTTP, on real records and a real Redis. A test for each status. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from "jose";
import {
  asId,
  clientOrderId,
  type AccountId,
  type ChannelId,
  type PersonId,
  type SignalId,
  type SubscriptionId,
} from "../../domain/ids.ts";
import { HomeKeys, PartitionMap, RegionKeys } from "../../redis/keys.ts";
import { freePort } from "../../tests/support/ports.ts";
import { startRedis } from "../../tests/support/redis.ts";
import { startRole, type RoleProcess } from "../../tests/support/role.ts";
import { until } from "../../tests/support/wait.ts";
import { openRecords } from "../records/open.ts";
import type { OrderRecord, Records, SubscriptionRecord } from "../records/port.ts";
import { connectRedis } from "../runtime/redis-client.ts";
import { hashPassword } from "./sign-in.ts";

const PROVIDER = asId<PersonId>("provider");
const FOLLOWER = asId<PersonId>("follower");
const CHANNEL = asId<ChannelId>("demo");
const SIGNAL = `s0_${"a".repeat(32)}` as SignalId;
const FAR_MS = 4_000_000_000_000;
const NO_SETTINGS = { plan: {}, paused: false };
const PASSWORD_HASH = await hashPassword("right");
/** The id is always that of `acct-2` and the channel. */
const MINE = "sub_56IDxuBobWM1CCkT6wTPdg";
const PLAN = { sizing: { kind: "fixed", stakeCents: 300 } } as const;

const folder = mkdtempSync(join(tmpdir(), "fanfare-records-api-"));
const server = await startRedis();
const redis = connectRedis(server.url);
const port = await freePort();
const base = `http://127.0.0.1:${port}`;
let key: CryptoKey;
let records: Records;
let running: RoleProcess;

beforeAll(async () => {
  const pair = await generateKeyPair("EdDSA", { extractable: true });
  key = pair.privateKey;
  records = await openRecords({ FANFARE_DATA: folder });
  await fill();
  running = await startRole("records", {
    FANFARE_REDIS_URL: server.url,
    FANFARE_DATA: folder,
    FANFARE_RECORDS_PORT: String(port),
    FANFARE_ISSUER_KEY: JSON.stringify(await exportJWK(key)),
  });
});
afterAll(async () => {
  await running.stop();
  await records.close();
  redis.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("201: the right password signs in, with the person's scopes", async () => {
  const answer = await post("/v1/sessions", { email: "Provider@Example.org", password: "right" });
  expect(answer.status).toBe(201);
  const { token, expiresAtMs, person } = (await answer.json()) as {
    token: string;
    expiresAtMs: number;
    person: object;
  };
  expect(person).toEqual({ id: PROVIDER, name: "Provider" });
  expect(expiresAtMs - Date.now()).toBeLessThanOrEqual(12 * 60 * 60 * 1000);
  const { scope } = JSON.parse(atob(token.split(".")[1] ?? "")) as { scope: string };
  // Letters and digits: this person also has a desk user.
  expect(scope).toBe("signals:write desk:trade signals:read records:read records:write");
  const me = await get("/v1/people/me", token);
  expect(await me.json()).toEqual({
    id: PROVIDER,
    name: "Provider",
    email: "provider@example.org",
  });

  const follower = await post("/v1/sessions", { email: "f@example.org", password: "right too" });
  expect(JSON.stringify(await follower.json())).toContain('"id":"follower"');
});

test("401: a wrong password and an unknown e-mail are refused alike", async () => {
  const wrong = await post("/v1/sessions", { email: "f@example.org", password: "wrong" });
  const unknown = await post("/v1/sessions", { email: "unknown@example.org", password: "wrong" });
  expect([wrong.status, unknown.status]).toEqual([401, 401]);
  expect(await wrong.text()).toBe(await unknown.text());
});

test("429: attempts are limited per e-mail, and others can still sign in", async () => {
  const statuses: number[] = [];
  for (let n = 0; n < 11; n += 1) {
    const body = { email: "guessed@example.org", password: `guess ${n}` };
    statuses.push((await post("/v1/sessions", body)).status);
  }
  expect(statuses).toEqual([...Array.from({ length: 10 }, () => 401), 429]);
  const other = await post("/v1/sessions", { email: "f@example.org", password: "right too" });
  expect(other.status).toBe(201);
});

test("401: tokens that are missing, foreign, unsigned, expired or too long are refused", async () => {
  const { privateKey: foreign } = await generateKeyPair("EdDSA");
  const none = `${btoa('{"alg":"none"}')}.${btoa('{"sub":"provider"}')}.`.replaceAll("=", "");
  for (const [token, code] of [
    [undefined, "TOKEN_MISSING"],
    ["nonsense", "TOKEN_INVALID"],
    [none, "TOKEN_INVALID"],
    [await issueToken(PROVIDER, { key: foreign }), "TOKEN_INVALID"],
    [await issueToken(PROVIDER, { lifetimeS: -1 }), "TOKEN_EXPIRED"],
    [await issueToken(PROVIDER, { lifetimeS: 13 * 60 * 60 }), "TOKEN_INVALID"],
    [await issueToken(PROVIDER, { audience: "another" }), "TOKEN_INVALID"],
  ] as const) {
    await expectProblem(await get("/v1/people/me", token), 401, code);
  }
});

test("403: a token without the scope is refused", async () => {
  const token = await issueToken(FOLLOWER, { scope: "signals:read" });
  await expectProblem(await get("/v1/channels", token), 403, "TOKEN_SCOPE");
  await expectProblem(
    await send(
      "PATCH",
      "/v1/subscriptions/sub",
      {},
      await issueToken(FOLLOWER, { scope: "records:read" }),
    ),
    403,
    "TOKEN_SCOPE",
  );
});

test("400, 413, 415, 422: a wrong request is refused with the place of the fault and no value", async () => {
  const token = await issueToken(FOLLOWER);
  const posted = async (body: string, headers: Record<string, string> = {}): Promise<Response> =>
    await fetch(`${base}/v1/subscriptions`, {
      method: "POST",
      body,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
    });
  const good = { channel: CHANNEL, account: "acct-1", plan: PLAN, expiresAtMs: FAR_MS };
  await expectProblem(await posted("{"), 400, "BODY_MALFORMED");
  await expectProblem(await posted(`"${"x".repeat(17_000)}"`), 413, "BODY_TOO_LARGE");
  await expectProblem(
    await posted("{}", { "content-type": "text/plain" }),
    415,
    "BODY_TYPE_UNSUPPORTED",
  );
  await expectProblem(
    await posted("{}", { "idempotency-key": "with blank" }),
    400,
    "HEADER_INVALID",
  );
  await expectProblem(await get("/v1/signals?limit=0", token), 400, "QUERY_INVALID");
  await expectProblem(await get("/v1/signals?unknown=1", token), 400, "QUERY_INVALID");
  await expectProblem(await get("/v1/signals?limit=1&limit=2", token), 400, "QUERY_INVALID");
  for (const body of [
    [],
    null,
    {},
    { ...good, extra: "s3cret" },
    { ...good, expiresAtMs: "s3cret" },
    { ...good, plan: { sizing: { kind: "fixed", stakeCents: 1.5 } } },
    { ...good, plan: { sizing: { kind: "fixed", stakeCents: 1e13 } } },
    { ...good, plan: { sizing: { kind: "s3cret" } } },
    { ...good, plan: { ...PLAN, maxOpen: 0 } },
    { ...good, plan: { ...PLAN, maxAgeShareBp: 10_001 } },
    { ...good, plan: { ...PLAN, symbolMap: { "EUR/USD": "eur" } } },
    { ...good, plan: { ...PLAN, pausedBy: "platform" } },
    { ...good, state: "halted" },
    { ...good, state: "left" },
  ]) {
    const answer = await posted(JSON.stringify(body));
    expect(await answer.clone().text()).not.toContain("s3cret");
    await expectProblem(answer, 422, "BODY_INVALID");
  }
  const unknown = await posted(JSON.stringify({ ...good, extra: 1 }));
  expect(await unknown.json()).toMatchObject({
    faults: [{ path: "extra", message: "is not a field here" }],
  });
  expect(await records.subscriptions.find({})).toHaveLength(1);
});

test("404, 405: other addresses do not exist, and other methods are refused", async () => {
  const token = await issueToken(FOLLOWER);
  await expectProblem(await get("/v1/nothing", token), 404, "ROUTE_UNKNOWN");
  const deleted = await send("DELETE", "/v1/channels/demo", undefined, token);
  expect(deleted.headers.get("allow")).toBe("GET, HEAD");
  await expectProblem(deleted, 405, "METHOD_NOT_ALLOWED");
});

test("200: settings are recorded and projected for each kind of scope, and the same again is no change", async () => {
  const body = { plan: { maxStakeCents: 500, overriding: ["maxStakeCents"] }, paused: true };
  for (const [scope, person] of [
    [`provider:${PROVIDER}`, PROVIDER],
    [`channel:${CHANNEL}`, PROVIDER],
    [`follower:${FOLLOWER}`, FOLLOWER],
  ] as const) {
    const token = await issueToken(person);
    const path = `/v1/settings/${scope}`;
    const unset = { scope, plan: {}, paused: false, version: 0 };
    expect(await (await get(path, token)).json()).toEqual(unset);
    const set = { scope, ...body, version: 1 };
    for (let times = 0; times < 2; times += 1) {
      const put = await send("PUT", path, body, token);
      expect([put.status, await put.json()]).toEqual([200, set]);
    }
    expect(await (await get(path, token)).json()).toEqual(set);
    const kept = { plan: body.plan, paused: true, version: 1 };
    expect(await records.settings.get(scope)).toMatchObject({ ...kept, outbox: false });
  }
  for (const partition of new PartitionMap(4).all()) {
    const layers = await redis.send("HKEYS", [new RegionKeys(partition).layers]);
    expect((layers as string[]).toSorted()).toEqual([
      "channel:demo",
      "provider:provider",
      "version",
    ]);
  }
  const shown = await get("/v1/subscriptions", await issueToken(FOLLOWER));
  const { subscriptions } = (await shown.json()) as {
    subscriptions: { id: string; plan: object }[];
  };
  // Their own plan stays as they wrote it.
  expect(subscriptions.find(({ id }) => id === "sub")?.plan).toEqual(PLAN);
});

test("200: settings of the platform are set by an administrator", async () => {
  const token = await issueToken(asId("boss"), {
    scope: "records:read records:write records:admin",
  });
  const body = { plan: { maxOpen: 9 }, paused: false };
  const put = await send("PUT", "/v1/settings/platform", body, token);
  expect([put.status, await put.json()]).toEqual([200, { scope: "platform", ...body, version: 1 }]);
  expect((await send("PUT", "/v1/settings/platform", NO_SETTINGS, token)).status).toBe(200);
});

test("403, 404, 422: other people cannot change settings, and read them only above a channel's followers", async () => {
  const [provider, follower] = await Promise.all([issueToken(PROVIDER), issueToken(FOLLOWER)]);
  const body = { plan: {}, paused: true };
  for (const [scope, token] of [
    ["platform", provider],
    ["platform", follower],
    [`provider:${PROVIDER}`, follower],
    [`channel:${CHANNEL}`, follower],
  ] as const) {
    const answer = await send("PUT", `/v1/settings/${scope}`, body, token);
    await expectProblem(answer, 403, "SETTINGS_FORBIDDEN");
    expect((await get(`/v1/settings/${scope}`, token)).status).toBe(200);
  }
  for (const [scope, token] of [
    [`follower:${FOLLOWER}`, provider],
    [`provider:${FOLLOWER}`, follower],
    ["channel:none", provider],
    ["broker:desk", provider],
    ["platform:all", provider],
    ["follower:", follower],
  ] as const) {
    const put = await send("PUT", `/v1/settings/${scope}`, body, token);
    await expectProblem(put, 404, "SETTINGS_UNKNOWN");
    await expectProblem(await get(`/v1/settings/${scope}`, token), 404, "SETTINGS_UNKNOWN");
  }
  for (const wrong of [
    {},
    { plan: {} },
    { ...body, plan: { pausedBy: "platform" } },
    { ...body, plan: { overriding: ["paused"] } },
    { ...body, version: 3 },
  ]) {
    const put = await send("PUT", `/v1/settings/follower:${FOLLOWER}`, wrong, follower);
    await expectProblem(put, 422, "BODY_INVALID");
  }
});

describe("stops", () => {
  const everywhere = async (scope: string) => {
    const keys = new PartitionMap(4)
      .all()
      .flatMap((each) => [new HomeKeys(each).halts, new RegionKeys(each).halts]);
    const states = await Promise.all(keys.map((each) => redis.send("HGET", [each, scope])));
    return [...new Set(states)];
  };
  const admin = () =>
    issueToken(asId("boss"), { scope: "records:read records:write records:admin" });
  const listed = async (token: string) => {
    const { stops } = (await (await get("/v1/stops", token)).json()) as {
      stops: { scope: string; state: string; by: string; why: string }[];
    };
    return stops.map(({ scope, state, by, why }) => [scope, state, by, why].join(" "));
  };

  test("200: their owners set and lift them, and they hold in every partition at once", async () => {
    for (const [scope, token] of [
      ["channel:demo", await issueToken(PROVIDER)],
      [`provider:${PROVIDER}`, await issueToken(PROVIDER)],
      [`follower:${FOLLOWER}`, await issueToken(FOLLOWER)],
      ["platform", await admin()],
      ["broker:desk", await admin()],
      ["channel:demo", await admin()],
    ] as const) {
      const beforeMs = Date.now();
      const body = { state: "drain", why: "a rest" };
      const put = await send("PUT", `/v1/stops/${scope}`, body, token);
      const shown = (await put.json()) as { atMs: number };
      expect([put.status, shown]).toMatchObject([200, { scope, state: "drain", why: "a rest" }]);
      expect(shown.atMs).toBeGreaterThanOrEqual(beforeMs - 1_000);
      expect(await everywhere(scope)).toEqual(["drain"]);
      const halted = await send("PUT", `/v1/stops/${scope}`, { state: "halt" }, token);
      expect(await halted.json()).toMatchObject({ state: "halt", why: "" });
      expect(await records.stops.get(scope)).toMatchObject({ state: "halt" });
      const lifted = await send("DELETE", `/v1/stops/${scope}?why=done`, undefined, token);
      expect([lifted.status, await lifted.json()]).toMatchObject([200, { state: "open" }]);
      expect(await everywhere(scope)).toEqual([null]);
      expect(await records.stops.get(scope)).toMatchObject({ state: "open", why: "done" });
    }
  });

  test("200: everyone sees the list; only the follower and administrators see a follower's stop", async () => {
    const [provider, follower, boss] = [
      await issueToken(PROVIDER),
      await issueToken(FOLLOWER),
      await admin(),
    ];
    await send("PUT", "/v1/stops/channel:demo", { state: "halt", why: "news" }, provider);
    await send("PUT", `/v1/stops/follower:${FOLLOWER}`, { state: "drain" }, follower);
    const [channel, own] = ["channel:demo halt provider news", "follower:follower drain follower "];
    expect(await listed(provider)).toEqual([channel]);
    expect(await listed(follower)).toEqual([channel, own]);
    expect(await listed(boss)).toEqual([channel, own]);
    const page = await get("/v1/stops?limit=1", boss);
    expect(await page.json()).toMatchObject({ next: "channel:demo" });
    const rest = await get("/v1/stops?limit=1&after=channel:demo", boss);
    expect(await rest.json()).toMatchObject({ stops: [{ state: "drain" }], next: null });
    for (const scope of ["channel:demo", `follower:${FOLLOWER}`]) {
      await send("DELETE", `/v1/stops/${scope}`, undefined, boss);
    }
    expect(await listed(boss)).toEqual([]);
  });

  test("403, 404, 422: other people cannot change them; only administrators lift an administrator's stop", async () => {
    const [provider, follower, boss] = [
      await issueToken(PROVIDER),
      await issueToken(FOLLOWER),
      await admin(),
    ];
    for (const [scope, token, code] of [
      ["platform", provider, "STOP_FORBIDDEN"],
      ["broker:desk", provider, "STOP_FORBIDDEN"],
      ["channel:demo", follower, "STOP_FORBIDDEN"],
      [`follower:${FOLLOWER}`, provider, "STOP_UNKNOWN"],
      ["channel:none", provider, "STOP_UNKNOWN"],
      ["account:a", boss, "STOP_UNKNOWN"],
    ] as const) {
      const status = code === "STOP_FORBIDDEN" ? 403 : 404;
      const put = await send("PUT", `/v1/stops/${scope}`, { state: "halt" }, token);
      await expectProblem(put, status, code);
      const deleted = await send("DELETE", `/v1/stops/${scope}`, undefined, token);
      await expectProblem(deleted, status, code);
      expect(await everywhere(scope)).toEqual([null]);
    }
    await send("PUT", "/v1/stops/channel:demo", { state: "drain" }, boss);
    const stricter = await send("PUT", "/v1/stops/channel:demo", { state: "halt" }, provider);
    expect(stricter.status).toBe(200);
    const lifted = await send("DELETE", "/v1/stops/channel:demo", undefined, provider);
    await expectProblem(lifted, 403, "STOP_FORBIDDEN");
    expect(await everywhere("channel:demo")).toEqual(["halt"]);
    await send("DELETE", "/v1/stops/channel:demo", undefined, boss);
    for (const wrong of [{}, { state: "lift" }, { state: "halt", why: "x".repeat(201) }]) {
      const put = await send("PUT", `/v1/stops/follower:${FOLLOWER}`, wrong, follower);
      await expectProblem(put, 422, "BODY_INVALID");
    }
  });

  test("503: a stop that not every partition confirms holds where one did", async () => {
    const key = new RegionKeys(2).halts;
    await redis.send("RENAME", [key, "aside"]);
    await redis.send("SET", [key, "no hash"]);
    const put = await send("PUT", "/v1/stops/platform", { state: "halt" }, await admin());
    await expectProblem(put, 503, "STOP_UNCONFIRMED");
    await redis.send("RENAME", ["aside", key]);
    await until("the stop is in every partition", async () => {
      const states = await everywhere("platform");
      return states.length === 1 && states[0] === "halt";
    });
    await send("DELETE", "/v1/stops/platform", undefined, await admin());
  });
});

test("channels are shown without their grants, and show whether the caller may send", async () => {
  const token = await issueToken(FOLLOWER);
  const shown = {
    id: CHANNEL,
    name: "Demo",
    provider: PROVIDER,
    symbols: ["EUR/USD"],
    deadlineMs: 1_000,
    maySend: false,
  };
  expect(await (await get("/v1/channels", token)).json()).toEqual({
    channels: [shown],
    next: null,
  });
  expect(await (await get("/v1/channels/demo", token)).json()).toEqual(shown);
  const provider = await get("/v1/channels/demo", await issueToken(PROVIDER));
  expect(await provider.json()).toEqual({ ...shown, maySend: true });
  await expectProblem(await get("/v1/channels/none", token), 404, "CHANNEL_UNKNOWN");
});

test("403, 404: a person whose id is the name of an inherited property has no extra rights", async () => {
  for (const name of ["constructor", "__proto__", "toString"]) {
    const person = asId<PersonId>(name);
    const token = await issueToken(person);
    const channel = await get("/v1/channels/demo", token);
    expect(await channel.json()).toMatchObject({ maySend: false });
    expect(await (await get("/v1/signals", token)).json()).toEqual({ signals: [], next: null });
    for (const path of ["results", "orders"]) {
      const read = await get(`/v1/signals/${SIGNAL}/${path}`, token);
      await expectProblem(read, 404, "SIGNAL_UNKNOWN");
    }
    const settings = await send("PUT", "/v1/settings/channel:demo", NO_SETTINGS, token);
    await expectProblem(settings, 403, "SETTINGS_FORBIDDEN");
    await expectProblem(await get(`/v1/channels/${name}`, token), 404, "CHANNEL_UNKNOWN");

    const email = `${name.toLowerCase()}@example.org`;
    await records.people.insert({ _id: person, name, email, passwordHash: PASSWORD_HASH });
    const session = await post("/v1/sessions", { email, password: "right" });
    const { token: signed } = (await session.json()) as { token: string };
    const { scope } = JSON.parse(atob(signed.split(".")[1] ?? "")) as { scope: string };
    expect(scope).not.toContain("signals:write");
  }
});

test("200, 201: a subscription is recorded and routed, and the same again is no change", async () => {
  const token = await issueToken(FOLLOWER);
  const plan = {
    sizing: { kind: "balance", shareBp: 200 },
    maxStakeCents: 5_000,
    maxDayStakeCents: 20_000,
    maxOpen: 5,
    maxDayLossCents: 10_000,
    symbols: ["EUR/USD"],
    deniedSymbols: ["R_100"],
    symbolMap: { "EUR/USD": "EURUSD" },
    reverse: true,
    minPayoutBp: 8_000,
    maxAgeMs: 500,
    maxAgeShareBp: 100,
  };
  const body = { channel: CHANNEL, account: "acct-2", plan, expiresAtMs: FAR_MS };
  const made = await send("POST", "/v1/subscriptions", body, token);
  expect(made.status).toBe(201);
  const subscription = {
    id: MINE,
    ...body,
    broker: "desk",
    region: "local",
    state: "active",
    version: 1,
  };
  expect(await made.json()).toEqual(subscription);
  const again = await send("POST", "/v1/subscriptions", body, token);
  expect([again.status, await again.json()]).toEqual([200, subscription]);
  const routed = await followers();
  const left = await send("PATCH", `/v1/subscriptions/${MINE}`, { state: "left" }, token);
  expect([left.status, await left.json()]).toEqual([
    200,
    { ...subscription, state: "left", version: 2 },
  ]);
  expect(await followers()).toBe(routed - 1);
  const resumed = await send("PATCH", `/v1/subscriptions/${MINE}`, { state: "paused" }, token);
  expect(await resumed.json()).toMatchObject({ state: "paused", version: 3 });
  const list = await get("/v1/subscriptions?channel=demo", token);
  expect(
    ((await list.json()) as { subscriptions: { id: string }[] }).subscriptions.map(({ id }) => id),
  ).toEqual(["sub", MINE]);
  const gone = await send("DELETE", `/v1/subscriptions/${MINE}`, undefined, token);
  expect([gone.status, await gone.text()]).toEqual([204, ""]);
  expect((await records.subscriptions.get(MINE))?.state).toBe("left");
  expect(await (await get("/v1/subscriptions?channel=other", token)).json()).toEqual({
    subscriptions: [],
    next: null,
  });
});

test("429: a person's changes within a minute are limited, requests without a change are not counted, and others are not affected", async () => {
  const person = asId<PersonId>("restless");
  await records.accounts.merge([{ _id: "acct-3", person, broker: "desk", region: "local" }]);
  const token = await issueToken(person);
  const body = { channel: CHANNEL, account: "acct-3", plan: PLAN, expiresAtMs: FAR_MS };
  const statuses = new Map<number, number>();
  for (let n = 0; n < 70; n += 1) {
    const changed = { ...body, expiresAtMs: FAR_MS + Math.min(n, 62) };
    const { status } = await send("POST", "/v1/subscriptions", changed, token);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }
  expect([...statuses]).toEqual([
    [201, 1],
    [200, 59],
    [429, 10],
  ]);
  const limited = await send("PUT", `/v1/settings/follower:restless`, NO_SETTINGS, token);
  await expectProblem(limited, 429, "CHANGES_LIMITED");
  expect(limited.headers.get("retry-after")).toBe("60");
  const unchanged = { ...body, expiresAtMs: FAR_MS + 59 };
  expect((await send("POST", "/v1/subscriptions", unchanged, token)).status).toBe(200);
  const settings = await send(
    "PUT",
    `/v1/settings/follower:${FOLLOWER}`,
    NO_SETTINGS,
    await issueToken(FOLLOWER),
  );
  expect(settings.status).toBe(200);
});

test("304, 412: a version is recognised by its tag, and a change made for another version is refused", async () => {
  const token = await issueToken(FOLLOWER);
  const settings = `/v1/settings/follower:${FOLLOWER}`;
  for (const [path, change, method] of [
    ["/v1/subscriptions/sub", { plan: { ...PLAN, maxOpen: 7 } }, "PATCH"],
    [settings, { plan: { maxOpen: 8 }, paused: false }, "PUT"],
  ] as const) {
    const read = await get(path, token);
    const { version } = (await read.json()) as { version: number };
    const tag = read.headers.get("etag") ?? "";
    expect(tag).toBe(`"${version}"`);
    const known = await send("GET", path, undefined, token, { "if-none-match": tag });
    expect([known.status, await known.text()]).toEqual([304, ""]);
    const changed = await send(method, path, change, token, { "if-match": tag });
    expect([changed.status, changed.headers.get("etag")]).toEqual([200, `"${version + 1}"`]);
    const late = await send(method, path, change, token, { "if-match": tag });
    await expectProblem(late, 412, "VERSION_STALE");
    const odd = await send(method, path, change, token, { "if-match": "7" });
    await expectProblem(odd, 400, "HEADER_INVALID");
  }
  const stale = { "if-match": '"1"' };
  const left = await send("DELETE", "/v1/subscriptions/sub", undefined, token, stale);
  await expectProblem(left, 412, "VERSION_STALE");
  const none = { "if-none-match": "*" };
  const again = { channel: CHANNEL, account: "acct-1", plan: PLAN, expiresAtMs: FAR_MS };
  const made = await send("POST", "/v1/subscriptions", again, token, none);
  await expectProblem(made, 412, "VERSION_STALE");
  await expectProblem(
    await get("/v1/subscriptions/sub", await issueToken(PROVIDER)),
    404,
    "SUBSCRIPTION_UNKNOWN",
  );
});

test("many changes at once each get their own version", async () => {
  const token = await issueToken(FOLLOWER);
  const before = (await records.subscriptions.get("sub"))?.version ?? 0;
  const answers = await Promise.all(
    [1, 2, 3, 4].map((n) =>
      send("PATCH", "/v1/subscriptions/sub", { expiresAtMs: FAR_MS + n }, token),
    ),
  );
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect((await records.subscriptions.get("sub"))?.version).toBe(before + 4);
});

test("404, 422: people can neither subscribe others' accounts nor change others' subscriptions", async () => {
  const follower = await issueToken(FOLLOWER);
  const provider = await issueToken(PROVIDER);
  const body = { channel: CHANNEL, account: "acct-1", plan: PLAN, expiresAtMs: FAR_MS };
  const post = (changes: object, token: string) =>
    send("POST", "/v1/subscriptions", { ...body, ...changes }, token);
  await expectProblem(await post({}, provider), 422, "BROKER_ACCOUNT_UNKNOWN");
  await expectProblem(await post({ account: "none" }, follower), 422, "BROKER_ACCOUNT_UNKNOWN");
  await expectProblem(await post({ channel: "none" }, follower), 404, "CHANNEL_UNKNOWN");
  const moved = await send("PATCH", "/v1/subscriptions/sub", { account: "acct-2" }, follower);
  await expectProblem(moved, 422, "BODY_INVALID");
  for (const answer of [
    await send("PATCH", "/v1/subscriptions/sub", { state: "left" }, provider),
    await send("PATCH", "/v1/subscriptions/none", { state: "left" }, follower),
    await send("PATCH", "/v1/subscriptions/not%20an%20id", { state: "left" }, follower),
  ]) {
    await expectProblem(answer, 404, "SUBSCRIPTION_UNKNOWN");
  }
  expect(await (await get("/v1/subscriptions", provider)).json()).toEqual({
    subscriptions: [],
    next: null,
  });
});

test("a change is kept while Redis does not answer, and projected when it is back", async () => {
  const token = await issueToken(FOLLOWER);
  const body = { channel: CHANNEL, account: "acct-2", plan: PLAN, expiresAtMs: FAR_MS };
  const before = await followers();
  await redis.send("CLIENT", ["KILL", "TYPE", "normal", "SKIPME", "yes"]);
  expect((await send("POST", "/v1/subscriptions", body, token)).status).toBe(200);
  await until("it is routed", async () => (await followers()) === before + 1);
});

test("signals are shown with their counts and results to those who may read the channel", async () => {
  const expected = {
    id: SIGNAL,
    channel: CHANNEL,
    action: "open",
    symbol: "EUR/USD",
    contract: "CALL",
    stakeCents: 500,
    durationSeconds: 30,
    sequence: 7,
    acceptedAtMs: 1_000,
    followers: 5,
    counts: { followers: 5, placed: 3, rejected: 0, skipped: 1, unknown: 1 },
    results: {
      open: 1,
      won: 1,
      lost: 1,
      void: 0,
      sold: 0,
      closed: 0,
      stakeCents: 900,
      returnCents: 555,
    },
  };
  for (const person of [PROVIDER, FOLLOWER, asId<PersonId>("trader")]) {
    const list = await get("/v1/signals?channel=demo&limit=5", await issueToken(person));
    expect(await list.json()).toEqual({ signals: [expected], next: null });
  }
  const stranger = await issueToken(asId<PersonId>("stranger"));
  expect(await (await get("/v1/signals", stranger)).json()).toEqual({ signals: [], next: null });
  await expectProblem(await get(`/v1/signals/${SIGNAL}/results`, stranger), 404, "SIGNAL_UNKNOWN");
  await expectProblem(await get(`/v1/records/signals/${SIGNAL}`, stranger), 404, "SIGNAL_UNKNOWN");

  const token = await issueToken(FOLLOWER);
  const results = await get(`/v1/signals/${SIGNAL}/results`, token);
  expect(await results.json()).toEqual({ id: SIGNAL, results: expected.results });
  const progress = await get(`/v1/records/signals/${SIGNAL}`, token);
  expect(await progress.json()).toEqual({
    id: SIGNAL,
    status: "complete",
    counts: expected.counts,
    timing: { acceptedAtMs: 1_000, firstMs: 11, lastMs: 13 },
  });
});

test("lists are read page by page, and each item once", async () => {
  const token = await issueToken(PROVIDER);
  const pages = async (path: string, name: string): Promise<string[]> => {
    const found: string[] = [];
    let after = "";
    for (let page = 0; page < 20; page += 1) {
      const body = (await (await get(`${path}?limit=2${after}`, token)).json()) as {
        readonly next: string | null;
        readonly [list: string]: unknown;
      };
      const items = body[name] as { readonly id: string }[];
      expect(items.length).toBeLessThanOrEqual(2);
      found.push(...items.map(({ id }) => id));
      if (body.next === null) return found;
      expect(items).toHaveLength(2);
      after = `&after=${body.next}`;
    }
    throw new Error("there is always a next page");
  };
  const orders = await pages(`/v1/signals/${SIGNAL}/orders`, "orders");
  expect(orders).toEqual(
    ["five", "four", "sub", "three", "two"].map((name) => `${SIGNAL}.${name}`),
  );
  const [signal] = await records.signals.find({ where: { _id: SIGNAL } });
  const others = [1, 2, 3, 4].map((n) => `s0_${String(n).repeat(32)}`);
  await records.signals.merge(
    others.map((_id, n) => ({ ...signal!, _id, channel: "paged", acceptedAtMs: 10 + (n >> 1) })),
  );
  await records.channels.putNewer([
    { ...(await records.channels.get(CHANNEL))!, _id: "paged", version: 1 },
  ]);
  const paged = (await pages("/v1/signals", "signals")).filter((id) => others.includes(id));
  expect(paged).toEqual(others.toReversed());
  expect(await pages("/v1/channels", "channels")).toEqual(["demo", "paged"]);
  await expectProblem(await get("/v1/signals?after=x", token), 400, "QUERY_INVALID");
  await records.signals.merge(others.map((_id) => ({ _id, channel: "none" })));
});

test("a follower sees their own orders; senders see all orders, but not their accounts", async () => {
  const ids = async (person: PersonId, query = ""): Promise<OrderRecord[]> => {
    const answer = await get(`/v1/signals/${SIGNAL}/orders${query}`, await issueToken(person));
    return ((await answer.json()) as { orders: OrderRecord[] }).orders;
  };
  const own = await ids(FOLLOWER);
  expect(own).toMatchObject([{ subscription: "sub", account: "acct-1", settlement: "won" }]);
  const all = await ids(PROVIDER);
  expect(all).toHaveLength(5);
  expect(JSON.stringify(all)).not.toContain("acct");
  expect(await ids(PROVIDER, "?outcome=skipped")).toMatchObject([{ reason: "PAUSED" }]);
  expect(await ids(PROVIDER, "?limit=2")).toHaveLength(2);
  const stranger = await issueToken(asId<PersonId>("stranger"));
  await expectProblem(await get(`/v1/signals/${SIGNAL}/orders`, stranger), 404, "SIGNAL_UNKNOWN");
  await expectProblem(
    await get(`/v1/signals/s0_${"b".repeat(32)}/orders`, await issueToken(PROVIDER)),
    404,
    "SIGNAL_UNKNOWN",
  );
});

test("the document lists every operation and all its answers", async () => {
  expect(await (await get("/healthz")).json()).toEqual({ status: "ok" });
  const document = (await (await get("/openapi.json")).json()) as {
    paths: Record<string, Record<string, { responses: object; parameters?: object[] }>>;
  };
  const subscribe = document.paths["/v1/subscriptions"]?.["post"];
  expect(Object.keys(document.paths).toSorted()).toEqual([
    "/healthz",
    "/openapi.json",
    "/v1/channels",
    "/v1/channels/{id}",
    "/v1/people/me",
    "/v1/records/signals/{id}",
    "/v1/sessions",
    "/v1/settings/{scope}",
    "/v1/signals",
    "/v1/signals/{id}/orders",
    "/v1/signals/{id}/results",
    "/v1/stops",
    "/v1/stops/{scope}",
    "/v1/subscriptions",
    "/v1/subscriptions/{id}",
  ]);
  expect(Object.keys(subscribe?.responses ?? {})).toEqual([
    "200",
    "201",
    "400",
    "401",
    "403",
    "404",
    "405",
    "409",
    "412",
    "413",
    "415",
    "422",
    "429",
    "500",
    "503",
  ]);
});

async function fill(): Promise<void> {
  await records.people.insert({
    _id: PROVIDER,
    name: "Provider",
    email: "provider@example.org",
    passwordHash: PASSWORD_HASH,
  });
  await records.people.insert({
    _id: FOLLOWER,
    name: "Follower",
    email: "f@example.org",
    passwordHash: await hashPassword("right too"),
  });
  await records.channels.putNewer([
    {
      _id: CHANNEL,
      name: "Demo",
      provider: PROVIDER,
      symbols: ["EUR/USD"],
      deadlineMs: 1_000,
      grants: { [PROVIDER]: {}, [asId<PersonId>("trader")]: { maxStakeCents: 500 } },
      version: 1,
      outbox: true,
    },
  ]);
  await records.accounts.merge(
    ["acct-1", "acct-2"].map((_id) => ({ _id, person: FOLLOWER, broker: "desk", region: "local" })),
  );
  await records.subscriptions.putNewer([
    {
      _id: "sub",
      channel: CHANNEL,
      follower: FOLLOWER,
      account: asId<AccountId>("acct-1"),
      broker: "desk",
      region: "local",
      state: "active",
      expiresAtMs: FAR_MS,
      plan: PLAN,
      version: 1,
      outbox: true,
    } satisfies SubscriptionRecord,
  ]);
  await records.signals.merge([
    {
      _id: SIGNAL,
      channel: CHANNEL,
      sender: PROVIDER,
      provider: PROVIDER,
      symbol: "EUR/USD",
      contract: "CALL",
      stakeCents: 500,
      durationSeconds: 30,
      sequence: 7,
      acceptedAtMs: 1_000,
      deadlineMs: 2_000,
      sha256: "0".repeat(64),
      followers: 5,
    },
  ]);
  const order = (name: string, parts: Partial<OrderRecord>): OrderRecord => ({
    _id: clientOrderId(SIGNAL, asId<SubscriptionId>(name)),
    signal: SIGNAL,
    subscription: name,
    account: "acct-of-another",
    broker: "desk",
    outcome: "placed",
    stakeCents: 300,
    acceptedAtMs: 1_000,
    dispatchedAtMs: 1_001,
    decidedAtMs: 1_002,
    recordedAtMs: 1_100,
    ...parts,
  });
  await records.orders.merge([
    order("sub", { account: "acct-1", answeredAtMs: 1_011, settlement: "won", returnCents: 555 }),
    order("two", { answeredAtMs: 1_013, settlement: "lost", returnCents: 0 }),
    order("three", { answeredAtMs: 1_012 }),
    order("four", { outcome: "unknown", answeredAtMs: 1_900 }),
    { ...order("five", { outcome: "skipped", reason: "PAUSED" }), stakeCents: 0 },
    // Settled before its outcome is recorded: the settlement waits for the outcome.
    { _id: clientOrderId(SIGNAL, asId<SubscriptionId>("six")), signal: SIGNAL, settlement: "won" },
  ]);
}

async function issueToken(
  person: PersonId,
  {
    scope = "signals:read records:read records:write",
    lifetimeS = 600,
    audience = "fanfare",
    key: signing = key,
  }: { scope?: string; lifetimeS?: number; audience?: string; key?: CryptoKey | JWK } = {},
): Promise<string> {
  return await new SignJWT({ scope })
    .setProtectedHeader({ alg: "EdDSA" })
    .setIssuer("fanfare")
    .setAudience(audience)
    .setSubject(person)
    .setExpirationTime(Math.floor(Date.now() / 1000) + lifetimeS)
    .sign(signing);
}

async function get(path: string, token?: string): Promise<Response> {
  return await send("GET", path, undefined, token);
}

async function post(path: string, body: object): Promise<Response> {
  return await send("POST", path, body);
}

async function send(
  method: string,
  path: string,
  body?: object,
  token?: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return await fetch(base + path, {
    method,
    ...(body ? { body: JSON.stringify(body) } : {}),
    headers: {
      ...(body ? { "content-type": "application/json" } : {}),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
  });
}

async function expectProblem(answer: Response, status: number, code: string): Promise<void> {
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  expect([answer.status, await answer.json()]).toMatchObject([status, { status, code }]);
}

/** The number of followers in the channel's routes. */
async function followers(): Promise<number> {
  const keys = new HomeKeys(new PartitionMap(4).ofChannel(CHANNEL));
  const routes = (await redis.send("HVALS", [keys.routes(CHANNEL)])) as string[];
  return routes.reduce((sum, value) => sum + Number(value.split(",")[1]), 0);
}

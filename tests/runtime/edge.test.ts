/** The edge keeps the same promises on each of its runtimes, on a real Redis behind the bridge. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { HomeKeys, RegionKeys } from "../../redis/keys.ts";
import { until } from "../support/wait.ts";
import {
  answerOf,
  connect,
  eventsOf,
  HOOK_SIGNAL,
  post,
  signed,
  SIGNAL,
  type Answer,
} from "./client.ts";
import { RUNTIMES, type RunningEdge } from "./launch.ts";
import { CHANNEL, FOLLOWERS, PARTITIONS, startWorld, URL_SECRET, type World } from "./world.ts";

const START_TIMEOUT_MS = 60_000;
const HOME = new HomeKeys(PARTITIONS.ofChannel(CHANNEL));

describe.each(Object.entries(RUNTIMES))("the edge on %s", (_name, launch) => {
  let world: World;
  let edge: RunningEdge;
  let bearer: Record<string, string>;

  beforeAll(async () => {
    world = await startWorld();
    edge = await launch(world.settings);
    bearer = { authorization: `Bearer ${await world.token()}` };
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    await edge.stop();
    await world.stop();
  });

  const send = async (body: unknown, headers: Record<string, string> = bearer): Promise<Answer> =>
    await post(`${edge.url}/v1/signals`, body, headers);
  const get = async (path: string, headers: Record<string, string> = bearer): Promise<Answer> =>
    await answerOf(await fetch(edge.url + path, { headers }));
  const hook = async (
    path: string,
    body: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> => await post(`${edge.url}/hooks/${path}`, body, headers);

  function expectProblem({ status, headers, body }: Answer, code: string, as: number): void {
    expect([status, body["code"]]).toEqual([as, code]);
    expect(headers.get("content-type")).toBe("application/problem+json");
  }
  const accepted = async (): Promise<number> =>
    Number(await world.client.send("XLEN", [HOME.signals]));
  /** Runs what must be refused, and holds it to that: nothing may have been accepted by it. */
  async function refused(code: string, as: number, ask: () => Promise<Answer>): Promise<Answer> {
    const before = await accepted();
    const answer = await ask();
    expectProblem(answer, code, as);
    expect(await accepted()).toBe(before);
    return answer;
  }

  test("a signal is accepted, and one job a shard is enqueued exactly once", async () => {
    const { status, headers, body } = await send(SIGNAL);
    expect(status).toBe(202);
    const id = String(body["id"]);
    expect(Object.keys(body)).toEqual(["id", "sequence", "acceptedAt", "followers"]);
    expect(body["followers"]).toBe(FOLLOWERS);
    expect(headers.get("location")).toBe(`/v1/signals/${id}`);
    await until("every region confirmed", async () => {
      return (await world.client.send("ZSCORE", [HOME.undispatched, id])) === null;
    });
    const jobs = await world.jobs(id);
    expect(jobs.reduce((sum, each) => sum + each.count, 0)).toBe(FOLLOWERS);
    expect(new Set(jobs.map((each) => `${each.partition}/${each.shard}`)).size).toBe(jobs.length);
  });

  test("the same key and body get the same answer, byte for byte, and no second set of jobs", async () => {
    const key = { ...bearer, "idempotency-key": crypto.randomUUID() };
    const first = await send(SIGNAL, key);
    const second = await send({ ...SIGNAL }, key);
    expect(second.text).toBe(first.text);
    const jobs = await until("the jobs stand", async () => {
      const found = await world.jobs(String(first.body["id"]));
      return found.length > 0 && found;
    });
    expect(jobs.reduce((sum, each) => sum + each.count, 0)).toBe(FOLLOWERS);
    await refused("IDEMPOTENCY_CONFLICT", 409, () => send({ ...SIGNAL, stakeCents: 501 }, key));
  });

  test("keys that cannot be keys are refused", async () => {
    const long = { ...bearer, "idempotency-key": "k".repeat(256) };
    await refused("HEADER_INVALID", 400, () => send(SIGNAL, long));
    const blank = { ...bearer, "idempotency-key": "a b" };
    await refused("HEADER_INVALID", 400, () => send(SIGNAL, blank));
  });

  test("what the sender or the channel may not do is refused by name", async () => {
    const trader = { authorization: `Bearer ${await world.token({ sub: "demo-trader" })}` };
    await refused("GRANT_STAKE", 403, () => send({ ...SIGNAL, stakeCents: 1_001 }, trader));
    await refused("GRANT_SYMBOL", 403, () => send({ ...SIGNAL, symbol: "R_100" }, trader));
    await refused("GRANT_MISSING", 403, () => send({ ...SIGNAL, channel: "other" }));
    await refused("SYMBOL_UNKNOWN", 422, () => send({ ...SIGNAL, symbol: "DOGE/USD" }));
    await world.client.send("SADD", [HOME.halts, "platform"]);
    await refused("TRADING_HALTED", 423, () => send(SIGNAL));
    await world.client.send("SREM", [HOME.halts, "platform"]);
  });

  test("tokens that are not ours, not valid or not for this are refused", async () => {
    const now = Math.floor(Date.now() / 1000);
    const withToken = (token: string) => () => send(SIGNAL, { authorization: `Bearer ${token}` });
    const none = [
      { alg: "none" },
      { iss: "fanfare", aud: "fanfare", sub: "demo-provider", exp: now + 60 },
    ]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .join(".");
    await refused("TOKEN_MISSING", 401, () => send(SIGNAL, {}));
    await refused("TOKEN_INVALID", 401, withToken("nonsense"));
    await refused("TOKEN_INVALID", 401, withToken(`${none}.`));
    await refused("TOKEN_INVALID", 401, withToken(await world.foreignToken()));
    await refused("TOKEN_INVALID", 401, withToken(await world.token({ iss: "elsewhere" })));
    await refused("TOKEN_INVALID", 401, withToken(await world.token({ aud: "elsewhere" })));
    await refused("TOKEN_INVALID", 401, withToken(await world.token({ exp: now + 90_000 })));
    await refused("TOKEN_EXPIRED", 401, withToken(await world.token({ exp: now - 5 })));
    await refused("TOKEN_SCOPE", 403, withToken(await world.token({ scope: "signals:read" })));
  });

  test("bodies that are not a signal are refused, and nothing of them is echoed", async () => {
    await refused("BODY_MALFORMED", 400, () => send("{"));
    await refused("BODY_TYPE_UNSUPPORTED", 415, () =>
      send(SIGNAL, { ...bearer, "content-type": "text/plain" }),
    );
    const wrong = [
      null,
      [],
      { ...SIGNAL, stakeCents: 0 },
      { ...SIGNAL, stakeCents: 1e300 },
      { ...SIGNAL, stakeCents: 1.5 },
      { ...SIGNAL, stakeCents: "500" },
      { ...SIGNAL, durationSeconds: 86_401 },
      { ...SIGNAL, contract: "BUY" },
      { ...SIGNAL, symbol: "euro" },
      { ...SIGNAL, channel: "a:b" },
    ];
    for (const body of wrong) await refused("BODY_INVALID", 422, () => send(body));
    const { body, text } = await refused("BODY_INVALID", 422, () =>
      send({ ...SIGNAL, contract: "s3cret", password: "s3cret" }),
    );
    expect(text).not.toContain("s3cret");
    expect(body["faults"]).toEqual([
      { path: "contract", message: "must be CALL or PUT" },
      { path: "password", message: "is not a field here" },
    ]);
  });

  test("16 KiB are the limit, with and without an announced length", async () => {
    const long = JSON.stringify({ ...SIGNAL, padding: "x".repeat(16 * 1024) });
    await refused("BODY_TOO_LARGE", 413, () => send(long));
    await refused("BODY_TOO_LARGE", 413, async () => {
      const bytes = new TextEncoder().encode(long);
      const chunked = new ReadableStream({
        start(controller) {
          for (let at = 0; at < bytes.length; at += 4_096) {
            controller.enqueue(bytes.subarray(at, at + 4_096));
          }
          controller.close();
        },
      });
      return await answerOf(
        await fetch(`${edge.url}/v1/signals`, {
          method: "POST",
          headers: { ...bearer, "content-type": "application/json" },
          body: chunked,
        }),
      );
    });
  });

  test("unknown addresses and methods are problems, too", async () => {
    expectProblem(await get("/nowhere"), "ROUTE_UNKNOWN", 404);
    const wrong = await answerOf(await fetch(`${edge.url}/v1/signals`, { method: "DELETE" }));
    expectProblem(wrong, "METHOD_NOT_ALLOWED", 405);
    expect(wrong.headers.get("allow")).toBe("POST");
    expectProblem(await get("/v1/channels"), "RECORDS_UNAVAILABLE", 503);
  });

  test("a signal is known at once to those it concerns, and to nobody else", async () => {
    const { body } = await send(SIGNAL);
    const path = `/v1/signals/${String(body["id"])}`;
    const before = await get(path);
    expect(before.body).toEqual({
      id: body["id"],
      status: "running",
      counts: { followers: FOLLOWERS, placed: 0, rejected: 0, skipped: 0, unknown: 0 },
      timing: { acceptedAt: body["acceptedAt"], firstMs: null, lastMs: null },
    });
    await world.place(String(body["id"]), FOLLOWERS);
    expect((await get(path)).body).toMatchObject({
      status: "complete",
      counts: { placed: FOLLOWERS },
      timing: { firstMs: 7, lastMs: 9 },
    });
    const granted = { authorization: `Bearer ${await world.token({ sub: "demo-trader" })}` };
    expect((await get(path, granted)).status).toBe(200);
    const stranger = { authorization: `Bearer ${await world.token({ sub: "stranger" })}` };
    expectProblem(await get(path, stranger), "SIGNAL_UNKNOWN", 404);
    expectProblem(await get(`${path}0`), "SIGNAL_UNKNOWN", 404);
    expectProblem(await get(`/v1/signals/s0_${"0".repeat(32)}`), "SIGNAL_UNKNOWN", 404);
    expectProblem(await get(path, {}), "TOKEN_MISSING", 401);
  });

  test("a watched signal's progress is told as it moves, until it is complete", async () => {
    const { body } = await send(SIGNAL);
    const id = String(body["id"]);
    const response = await fetch(`${edge.url}/v1/signals/${id}/live`, { headers: bearer });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const events = eventsOf(response);
    const placed = async () => {
      const { value } = await events.next();
      const counts = value?.data["counts"] as { placed: number };
      return [value?.event, counts.placed];
    };
    expect(await placed()).toEqual(["progress", 0]);
    await world.place(id, 100);
    expect(await placed()).toEqual(["progress", 100]);
    await world.place(id, FOLLOWERS - 100);
    expect(await placed()).toEqual(["progress", FOLLOWERS]);
    expect(await placed()).toEqual(["complete", FOLLOWERS]);
    expect((await events.next()).done).toBe(true);
  });

  test("a socket takes signals and answers with acceptance and progress", async () => {
    const socket = await connect(`${edge.url}/v1/ws`, bearer);
    const key = crypto.randomUUID();
    socket.send({ ...SIGNAL, ref: "one", idempotencyKey: key });
    const answer = await socket.next();
    expect(answer).toMatchObject({ type: "accepted", ref: "one", followers: FOLLOWERS });
    expect(await socket.next()).toMatchObject({ type: "progress", ref: "one", status: "running" });
    await world.place(String(answer["id"]), FOLLOWERS);
    expect(await socket.next()).toMatchObject({ type: "progress", ref: "one", status: "complete" });
    socket.send({ ...SIGNAL, ref: "two", idempotencyKey: key });
    expect(await socket.next()).toEqual({ ...answer, ref: "two" });
    expect(await socket.next()).toMatchObject({ type: "progress", ref: "two", status: "complete" });
    socket.send({ ...SIGNAL, ref: "three", stakeCents: -1 });
    expect(await socket.next()).toMatchObject({
      type: "problem",
      ref: "three",
      code: "BODY_INVALID",
    });
    socket.send("{");
    expect(await socket.next()).toMatchObject({ type: "problem", code: "BODY_MALFORMED" });
    socket.send("x".repeat(16 * 1024 + 1));
    expect(await socket.next()).toMatchObject({ type: "problem", code: "BODY_TOO_LARGE" });
    socket.close();
  });

  test("a socket may show its token in its first message, and is closed over a bad one", async () => {
    const good = await connect(`${edge.url}/v1/ws`);
    good.send({ type: "auth", token: await world.token() });
    expect(await good.next()).toEqual({ type: "authenticated" });
    good.send(SIGNAL);
    expect(await good.next()).toMatchObject({ type: "accepted" });
    good.close();
    const bad = await connect(`${edge.url}/v1/ws`);
    bad.send({ type: "auth", token: await world.foreignToken() });
    expect(await bad.next()).toMatchObject({ type: "problem", code: "TOKEN_INVALID" });
    expect(await bad.closed).toBe(1008);
    const mute = await connect(`${edge.url}/v1/ws`);
    mute.send(SIGNAL);
    expect(await mute.next()).toMatchObject({ type: "problem", code: "TOKEN_MISSING" });
    expect(await mute.closed).toBe(1008);
    expectProblem(await get("/v1/ws"), "UPGRADE_REQUIRED", 426);
  });

  test("a TradingView hook takes JSON and text, and a resent alert is the same signal", async () => {
    const path = `tv.${URL_SECRET}`;
    const time = new Date().toISOString();
    const json = { ...HOOK_SIGNAL, symbol: "EURUSD", id: "alert", time };
    const first = await hook(path, json);
    expect(first.status).toBe(202);
    const pairs = `symbol=FX:EURUSD contract=CALL, stake=5.00 duration=30 id=alert time=${time}`;
    const again = await hook(path, pairs, { "content-type": "text/plain; charset=utf-8" });
    expect(again.text).toBe(first.text);
    const other = await hook(path, { ...json, id: "another" });
    expect(other.body["id"]).not.toBe(first.body["id"]);
    const bare = { ...HOOK_SIGNAL, durationSeconds: 31 };
    expect((await hook(path, bare)).text).toBe((await hook(path, bare)).text);
    const untyped = await fetch(`${edge.url}/hooks/${path}`, {
      method: "POST",
      body: new TextEncoder().encode(JSON.stringify({ ...bare, durationSeconds: 32 })),
    });
    expect(untyped.status).toBe(202);
  });

  test("a TradingView hook refuses wrong secrets, late alerts and wrong bodies, and repeats no secret", async () => {
    const path = `tv.${URL_SECRET}`;
    const unknown = await refused("HOOK_UNKNOWN", 404, () => hook("tv.wrong", HOOK_SIGNAL));
    const absent = await refused("HOOK_UNKNOWN", 404, () => hook("no.wrong", HOOK_SIGNAL));
    expect(absent.text).toBe(unknown.text);
    await refused("HOOK_UNKNOWN", 404, () => hook("tv", HOOK_SIGNAL));
    const at = (ms: number) => ({ ...HOOK_SIGNAL, time: new Date(Date.now() + ms).toISOString() });
    await refused("WEBHOOK_STALE", 422, () => hook(path, at(-61_000)));
    await refused("WEBHOOK_STALE", 422, () => hook(path, at(10_000)));
    const elsewhere = { ...HOOK_SIGNAL, channel: "other" };
    const { text } = await refused("BODY_INVALID", 422, () => hook(path, elsewhere));
    expect(text).not.toContain(URL_SECRET);
    await refused("BODY_INVALID", 422, () => hook(path, { ...HOOK_SIGNAL, stake: "5.00" }));
    const plain = { "content-type": "text/plain" };
    await refused("BODY_MALFORMED", 400, () => hook(path, "buy now", plain));
    await refused("BODY_TYPE_UNSUPPORTED", 415, () =>
      hook(path, "a=b", { "content-type": "application/x-www-form-urlencoded" }),
    );
  });

  test("a Standard Webhooks delivery is taken once, whatever key its replay carries", async () => {
    const body = JSON.stringify(HOOK_SIGNAL);
    const headers = signed(crypto.randomUUID(), body);
    const first = await hook("std", body, headers);
    expect(first.status).toBe(202);
    const before = await accepted();
    const replayed = await hook("std", body, { ...headers, "idempotency-key": "fresh" });
    expect(replayed.text).toBe(first.text);
    expect(await accepted()).toBe(before);
    const svix = await hook("std", body, signed(crypto.randomUUID(), body, { prefix: "svix" }));
    expect(svix.status).toBe(202);
  });

  test("a Standard Webhooks delivery that is forged, old or changed is refused", async () => {
    const body = JSON.stringify(HOOK_SIGNAL);
    const ago = { at: new Date(Date.now() - 301_000) };
    const refusedWith = async (headers: Record<string, string>, sent = body) =>
      await refused("WEBHOOK_SIGNATURE_INVALID", 401, () => hook("std", sent, headers));
    await refusedWith({});
    await refusedWith(signed("m1", body, ago));
    await refusedWith({ ...signed("m2", body), "webhook-id": "m3" });
    await refusedWith({ ...signed("m4", body), "webhook-signature": "v1,AAAA" });
    await refusedWith(signed("m5", body), `${body} `);
  });

  test("the document names every operation, and the answers carry safe headers", async () => {
    const { body, headers } = await get("/openapi.json", {});
    const paths = body["paths"] as Record<string, Record<string, { responses: object }>>;
    expect(Object.keys(paths).toSorted()).toEqual([
      "/healthz",
      "/hooks/{hook}",
      "/openapi.json",
      "/v1/signals",
      "/v1/signals/{id}",
      "/v1/signals/{id}/live",
      "/v1/ws",
    ]);
    expect(Object.keys(paths["/v1/signals"]?.["post"]?.responses ?? {})).toEqual([
      "202",
      "400",
      "401",
      "403",
      "405",
      "409",
      "413",
      "415",
      "422",
      "423",
      "500",
      "503",
    ]);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
  });

  test("while Redis is down every request is told so, and the same key works when it is back", async () => {
    const { body } = await send(SIGNAL);
    const key = { ...bearer, "idempotency-key": crypto.randomUUID() };
    await world.redis.kill();
    for (const answer of [
      await send(SIGNAL, key),
      await get(`/v1/signals/${String(body["id"])}`),
      await hook(`tv.${URL_SECRET}`, HOOK_SIGNAL),
    ]) {
      expectProblem(answer, "STORE_UNAVAILABLE", 503);
      expect(answer.headers.get("retry-after")).toBe("1");
    }
    await world.redis.restart();
    const answer = await until("the edge accepts again", async () => {
      const each = await send(SIGNAL, key);
      return each.status === 202 && each;
    });
    const keys = PARTITIONS.all().map((each) =>
      new RegionKeys(each).enqueued(answer.body["id"] as never),
    );
    await until("its jobs stand", async () => Number(await world.client.send("EXISTS", keys)) > 0);
  }, 30_000);
});

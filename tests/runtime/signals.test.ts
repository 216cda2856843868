/**
 * Signals by POST: accepted once, dispatched once, or refused with a code. On each runtime, on a
 * real Redis behind the bridge.
 */
import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { setHalt } from "../../workers/copier/stored/halt.ts";
import type { StopAction } from "../../domain/copier/stop.ts";
import type { SignalId } from "../../domain/ids.ts";
import { canonicalBody } from "../../domain/copier/signal.ts";
import { MAX_UNDER_WAY } from "../../edge/accept.ts";
import { MAX_UNDISPATCHED } from "../../redis/accept.ts";
import { dispatchesOf, enqueue, MAX_JOBS_WAITING } from "../../redis/enqueue.ts";
import { RegionKeys } from "../../redis/keys.ts";
import { parseStoredSignal, STORED_SIGNAL_FIELDS } from "../../redis/progress.ts";
import { run } from "../../workers/runtime/redis.ts";
import { until } from "../support/wait.ts";
import { readAnswer, HOOK_SIGNAL, SIGNAL } from "./client.ts";
import { expectProblem, HOME, onEachRuntime } from "./harness.ts";
import { FOLLOWERS, PARTITIONS, URL_SECRET } from "./world.ts";

onEachRuntime((at) => {
  test("a signal is accepted, and one job for each shard is enqueued exactly once", async () => {
    const { status, headers, body } = await at.send(SIGNAL);
    expect(status).toBe(202);
    const id = String(body["id"]);
    expect(Object.keys(body)).toEqual(["id", "sequence", "acceptedAtMs", "followers"]);
    expect(body["followers"]).toBe(FOLLOWERS);
    expect(headers.get("location")).toBe(`/v1/signals/${id}`);
    await until("every region confirmed", async () => {
      return (await at.world.client.send("ZSCORE", [HOME.undispatched, id])) === null;
    });
    const [[, fields] = ["", []]] = (await at.world.client.send("XREVRANGE", [
      HOME.signals,
      "+",
      "-",
      "COUNT",
      "1",
    ])) as [string, string[]][];
    const sha256 = createHash("sha256")
      .update(canonicalBody(SIGNAL as never))
      .digest("hex");
    expect(fields[fields.indexOf("sha256") + 1]).toBe(sha256);
    const jobs = await at.world.jobs(id);
    expect(jobs.reduce((sum, each) => sum + each.count, 0)).toBe(FOLLOWERS);
    expect(new Set(jobs.map((each) => `${each.partition}/${each.shard}`)).size).toBe(jobs.length);
  });

  test("signals at once are each confirmed, on runtimes that keep requests apart too", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => at.send(SIGNAL)));
    const ids = answers.map(({ body }) => String(body["id"]));
    await until("none waits to be dispatched", async () => {
      const scores = await at.world.client.send("ZMSCORE", [HOME.undispatched, ...ids]);
      return (scores as (number | null)[]).every((score) => score === null);
    });
  });

  test("the same key and body get the same answer, byte for byte, and no second set of jobs", async () => {
    const key = { ...at.bearer, "idempotency-key": crypto.randomUUID() };
    const first = await at.send(SIGNAL, key);
    const second = await at.send({ ...SIGNAL }, key);
    expect(second.text).toBe(first.text);
    const jobs = await until("the jobs stand", async () => {
      const found = await at.world.jobs(String(first.body["id"]));
      return found.length > 0 && found;
    });
    expect(jobs.reduce((sum, each) => sum + each.count, 0)).toBe(FOLLOWERS);
    await at.refused("IDEMPOTENCY_CONFLICT", 409, () =>
      at.send({ ...SIGNAL, stakeCents: 501 }, key),
    );
  });

  test("invalid keys are refused", async () => {
    const long = { ...at.bearer, "idempotency-key": "k".repeat(256) };
    await at.refused("HEADER_INVALID", 400, () => at.send(SIGNAL, long));
    const blank = { ...at.bearer, "idempotency-key": "a b" };
    await at.refused("HEADER_INVALID", 400, () => at.send(SIGNAL, blank));
  });

  test("a signal that the sender or the channel may not send is refused with a code", async () => {
    const trader = { authorization: `Bearer ${await at.world.token({ sub: "demo-trader" })}` };
    await at.refused("GRANT_STAKE", 403, () => at.send({ ...SIGNAL, stakeCents: 1_001 }, trader));
    await at.refused("GRANT_SYMBOL", 403, () => at.send({ ...SIGNAL, symbol: "R_100" }, trader));
    await at.refused("GRANT_MISSING", 403, () => at.send({ ...SIGNAL, channel: "other" }));
    for (const name of ["constructor", "__proto__", "toString"]) {
      const person = { authorization: `Bearer ${await at.world.token({ sub: name })}` };
      await at.refused("GRANT_MISSING", 403, () => at.send(SIGNAL, person));
      await at.refused("GRANT_MISSING", 403, () => at.send({ ...SIGNAL, channel: name }));
    }
    await at.refused("SYMBOL_UNKNOWN", 422, () => at.send({ ...SIGNAL, symbol: "DOGE/USD" }));
  });

  test("no open is accepted while the platform, the channel or its provider is halted or drained", async () => {
    for (const scope of ["platform", "channel:demo", "provider:demo-provider"] as const) {
      const set = async (action: StopAction) =>
        await run(at.world.client, setHalt, { key: HOME.halts, scope, action });
      await set("drain");
      await at.refused("TRADING_DRAINED", 423, () => at.send(SIGNAL));
      await set("halt");
      await at.refused("TRADING_HALTED", 423, () => at.send(SIGNAL));
      await set("drain");
      await at.refused("TRADING_HALTED", 423, () => at.send(SIGNAL));
      await set("lift");
    }
    expect((await at.send(SIGNAL)).status).toBe(202);
  });

  test("a home partition with a full backlog accepts nothing more, and earlier signals are not lost", async () => {
    const { client } = at.world;
    await until("none waits", async () => (await client.send("ZCARD", [HOME.undispatched])) === 0);
    const waiting = Array.from({ length: MAX_UNDISPATCHED }, (_, n) => [String(n), `waiting-${n}`]);
    await client.send("ZADD", [HOME.undispatched, ...waiting.flat()]);
    const { headers } = await at.refused("BACKLOG_FULL", 503, () => at.send(SIGNAL));
    expect(headers.get("retry-after")).toBe("1");
    await at.refused("BACKLOG_FULL", 503, () => at.hook(`tv.${URL_SECRET}`, HOOK_SIGNAL));
    await client.send("ZREM", [HOME.undispatched, "waiting-0"]);
    expect((await at.send(SIGNAL)).status).toBe(202);
    await client.send("ZREMRANGEBYSCORE", [HOME.undispatched, "-inf", String(MAX_UNDISPATCHED)]);
  });

  test("a signal whose jobs find no room stays undispatched, and its jobs are enqueued when there is room", async () => {
    const { client } = at.world;
    const full = new RegionKeys(0).jobs("desk");
    const fill = `for i = 1, ${MAX_JOBS_WAITING} do redis.call('XADD', KEYS[1], '*', 'filled', i) end`;
    await client.send("EVAL", [fill, "1", full]);
    const { status, body } = await at.send(SIGNAL);
    expect(status).toBe(202);
    const id = String(body["id"]);
    const others = await until("the others stand", async () => {
      const jobs = await at.world.jobs(id);
      return jobs.length > 0 && jobs;
    });
    expect(others.some(({ partition }) => partition === 0)).toBe(false);
    expect(await client.send("ZSCORE", [HOME.undispatched, id])).not.toBeNull();
    await client.send("DEL", [full]);
    const stored = parseStoredSignal(
      await client.send("HMGET", [HOME.signal(id as SignalId), ...STORED_SIGNAL_FIELDS]),
    );
    for (const each of dispatchesOf(stored!.signal, stored!.routes)) {
      expect((await run(client, enqueue, each.enqueue)).kind).toBe("enqueued");
    }
    const jobs = await at.world.jobs(id);
    expect(jobs.reduce((sum, each) => sum + each.count, 0)).toBe(FOLLOWERS);
  });

  test("more signals at once than can be served in time are refused at once", async () => {
    await at.world.client.send("CLIENT", ["PAUSE", "10000", "WRITE"]);
    const sent = Array.from({ length: MAX_UNDER_WAY + 40 }, (_, n) =>
      at.send(SIGNAL, { ...at.bearer, "idempotency-key": `flood-${n}` }),
    );
    const first = await Promise.race(sent);
    expectProblem(first, "EDGE_BUSY", 503);
    expect(first.headers.get("retry-after")).toBe("1");
    const codes = (await Promise.all(sent)).map(({ body }) => body["code"]);
    expect(codes.filter((code) => code === "EDGE_BUSY")).toHaveLength(40);
    // The result of the others is unclear, not refused: sent again, each has its one answer.
    await at.world.client.send("CLIENT", ["UNPAUSE"]);
    const again = await Promise.all(
      Array.from({ length: MAX_UNDER_WAY }, (_, n) =>
        at.send(SIGNAL, { ...at.bearer, "idempotency-key": `flood-${n}` }),
      ),
    );
    expect(again.every(({ status }) => status === 202)).toBe(true);
    expect(new Set(again.map(({ body }) => body["id"])).size).toBe(MAX_UNDER_WAY);
  });

  test("tokens that are foreign, invalid or without the permission are refused", async () => {
    const now = Math.floor(Date.now() / 1000);
    const withToken = (token: string) => () =>
      at.send(SIGNAL, { authorization: `Bearer ${token}` });
    const none = [
      { alg: "none" },
      { iss: "fanfare", aud: "fanfare", sub: "demo-provider", exp: now + 60 },
    ]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .join(".");
    await at.refused("TOKEN_MISSING", 401, () => at.send(SIGNAL, {}));
    await at.refused("TOKEN_INVALID", 401, withToken("nonsense"));
    await at.refused("TOKEN_INVALID", 401, withToken(`${none}.`));
    await at.refused("TOKEN_INVALID", 401, withToken(await at.world.foreignToken()));
    await at.refused("TOKEN_INVALID", 401, withToken(await at.world.token({ iss: "elsewhere" })));
    await at.refused("TOKEN_INVALID", 401, withToken(await at.world.token({ aud: "elsewhere" })));
    await at.refused("TOKEN_INVALID", 401, withToken(await at.world.token({ exp: now + 90_000 })));
    await at.refused("TOKEN_EXPIRED", 401, withToken(await at.world.token({ exp: now - 5 })));
    await at.refused(
      "TOKEN_SCOPE",
      403,
      withToken(await at.world.token({ scope: "signals:read" })),
    );
  });

  test("bodies that are not a signal are refused, and nothing of them is echoed", async () => {
    await at.refused("BODY_MALFORMED", 400, () => at.send("{"));
    await at.refused("BODY_TYPE_UNSUPPORTED", 415, () =>
      at.send(SIGNAL, { ...at.bearer, "content-type": "text/plain" }),
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
    for (const body of wrong) await at.refused("BODY_INVALID", 422, () => at.send(body));
    const { body, text } = await at.refused("BODY_INVALID", 422, () =>
      at.send({ ...SIGNAL, contract: "s3cret", password: "s3cret" }),
    );
    expect(text).not.toContain("s3cret");
    expect(body["faults"]).toEqual([
      { path: "contract", message: "must be CALL or PUT" },
      { path: "password", message: "is not a field here" },
    ]);
  });

  test("16 KiB are the limit, with and without an announced length", async () => {
    const long = JSON.stringify({ ...SIGNAL, padding: "x".repeat(16 * 1024) });
    await at.refused("BODY_TOO_LARGE", 413, () => at.send(long));
    await at.refused("BODY_TOO_LARGE", 413, async () => {
      const bytes = new TextEncoder().encode(long);
      const chunked = new ReadableStream({
        start(controller) {
          for (let at = 0; at < bytes.length; at += 4_096) {
            controller.enqueue(bytes.subarray(at, at + 4_096));
          }
          controller.close();
        },
      });
      return await readAnswer(
        await fetch(`${at.url}/v1/signals`, {
          method: "POST",
          headers: { ...at.bearer, "content-type": "application/json" },
          body: chunked,
        }),
      );
    });
  });

  test("unknown addresses and methods are problems too", async () => {
    expectProblem(await at.get("/nowhere"), "ROUTE_UNKNOWN", 404);
    const wrong = await readAnswer(await fetch(`${at.url}/v1/signals`, { method: "DELETE" }));
    expectProblem(wrong, "METHOD_NOT_ALLOWED", 405);
    expect(wrong.headers.get("allow")).toBe("POST, GET, HEAD");
    expectProblem(await at.get("/v1/channels"), "RECORDS_UNAVAILABLE", 503);
    expectProblem(await at.get("/v1/signals?channel=demo"), "RECORDS_UNAVAILABLE", 503);
  });

  test("the document names every operation, and the answers carry safe headers", async () => {
    const { body, headers } = await at.get("/openapi.json", {});
    const paths = body["paths"] as Record<string, Record<string, { responses: object }>>;
    expect(Object.keys(paths).toSorted()).toEqual([
      "/healthz",
      "/hooks/{hook}",
      "/openapi.json",
      "/v1/desk/commands",
      "/v1/desk/events",
      "/v1/desk/log",
      "/v1/desk/quotes/{symbol}",
      "/v1/desk/summary",
      "/v1/desk/ws",
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
      "404",
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

  test("while Redis is down every request is refused with a code, and the same key works when it is back", async () => {
    const { body } = await at.send(SIGNAL);
    const key = { ...at.bearer, "idempotency-key": crypto.randomUUID() };
    await at.world.redis.kill();
    for (const answer of [
      await at.send(SIGNAL, key),
      await at.get(`/v1/signals/${String(body["id"])}`),
      await at.hook(`tv.${URL_SECRET}`, HOOK_SIGNAL),
    ]) {
      expectProblem(answer, "STORE_UNAVAILABLE", 503);
      expect(answer.headers.get("retry-after")).toBe("1");
    }
    await at.world.redis.restart();
    const answer = await until("the edge accepts again", async () => {
      const each = await at.send(SIGNAL, key);
      return each.status === 202 && each;
    });
    const keys = PARTITIONS.all().map((each) =>
      new RegionKeys(each).enqueued(answer.body["id"] as never),
    );
    await until(
      "its jobs stand",
      async () => Number(await at.world.client.send("EXISTS", keys)) > 0,
    );
  }, 30_000);
});

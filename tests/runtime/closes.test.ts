/** Closes, sent in every possible way. On each runtime, on a real Redis behind the bridge. */
import { expect, test } from "bun:test";
import type { ChannelId, SignalId } from "../../domain/ids.ts";
import { MAX_UNDISPATCHED } from "../../redis/accept.ts";
import { parseCloseJob, type CloseJob } from "../../redis/close-job.ts";
import { setHalt } from "../../workers/copier/stored/halt.ts";
import type { StopAction } from "../../domain/copier/stop.ts";
import { HomeKeys, RegionKeys } from "../../redis/keys.ts";
import { run } from "../../workers/runtime/redis.ts";
import { until } from "../support/wait.ts";
import { connect, SIGNAL, signed } from "./client.ts";
import { onEachRuntime } from "./harness.ts";
import { CHANNEL, FOLLOWERS, PARTITIONS, URL_SECRET } from "./world.ts";

const HOME = new HomeKeys(PARTITIONS.ofChannel(CHANNEL));
const CLOSE = { channel: "demo", action: "close", symbol: "EUR/USD" } as const;

onEachRuntime((at) => {
  const forget = () => at.world.client.send("DEL", [HOME.open("demo" as ChannelId)]);

  async function opened(changes = {}): Promise<string> {
    const { status, body } = await at.send({ ...SIGNAL, ...changes });
    expect(status).toBe(202);
    return String(body["id"]);
  }

  async function readJobs(close: string): Promise<CloseJob[]> {
    const jobs: CloseJob[] = [];
    for (const partition of PARTITIONS.all()) {
      const stream = new RegionKeys(partition).closes("desk");
      const entries = (await at.world.client.send("XRANGE", [stream, "-", "+"])) as [
        string,
        string[],
      ][];
      for (const [, flat] of entries) {
        const fields = new Map(flat.map((name, index) => [name, flat[index + 1] ?? ""]));
        const job = parseCloseJob(fields);
        if (typeof job === "string") throw new Error(job);
        if (job.close.id === close) jobs.push(job);
      }
    }
    return jobs;
  }

  test("a close of a symbol takes what its signals have open, and repeated is the same close", async () => {
    await forget();
    const ids = [await opened(), await opened()];
    await opened({ symbol: "GBP/USD" });
    const headers = { ...at.bearer, "idempotency-key": crypto.randomUUID() };
    const first = await at.send(CLOSE, headers);
    expect(first.status).toBe(202);
    expect(first.body["followers"]).toBe(2 * FOLLOWERS);
    // A signal that opens after it is not closed by it.
    await opened();
    expect((await at.send(CLOSE, headers)).text).toBe(first.text);
    const other = await at.send({ ...CLOSE, symbol: "GBP/USD" }, headers);
    expect([other.status, other.body["code"]]).toEqual([409, "IDEMPOTENCY_CONFLICT"]);
    const id = String(first.body["id"]);
    const jobs = await until("its jobs stand", async () => {
      const found = await readJobs(id);
      return found.reduce((sum, { count }) => sum + count, 0) === 2 * FOLLOWERS && found;
    });
    expect(new Set(jobs.map(({ of }) => of.id as string))).toEqual(new Set(ids));
    expect(jobs[0]?.close).toMatchObject({ channel: "demo", provider: "demo-provider" });
    await until("it is dispatched", async () => {
      return (await at.world.client.send("ZSCORE", [HOME.undispatched, id])) === null;
    });
    await at.world.place(id, FOLLOWERS);
    const progress = await at.get(`/v1/signals/${id}`);
    expect(progress.body["counts"]).toMatchObject({ followers: 2 * FOLLOWERS, placed: FOLLOWERS });
  });

  test("a close of a signal closes that one, and refuses another channel's signal, a close and an unknown id", async () => {
    await forget();
    const [kept, wanted] = [await opened(), await opened()];
    void kept;
    const close = { channel: "demo", action: "close", signal: wanted };
    const { status, body } = await at.send(close);
    expect([status, body["followers"]]).toEqual([202, FOLLOWERS]);
    const unknown = `s${wanted.slice(1, 2)}_${"0".repeat(32)}`;
    for (const signal of [unknown, String(body["id"])]) {
      await at.refused("SIGNAL_UNKNOWN", 404, () => at.send({ ...close, signal }));
    }
  });

  test("a close can be sent by TradingView, by Standard Webhooks and by socket as well", async () => {
    await forget();
    const signal = await opened();
    const text = { "content-type": "text/plain" };
    const pairs = await at.hook(`tv.${URL_SECRET}`, "action=close symbol=FX:EURUSD", text);
    expect([pairs.status, pairs.body["followers"]]).toEqual([202, FOLLOWERS]);
    const one = await at.hook(`tv.${URL_SECRET}`, `action=close signal=${signal}`, text);
    expect([one.status, one.body["followers"]]).toEqual([202, FOLLOWERS]);
    const { channel: _, ...body } = CLOSE;
    const json = JSON.stringify(body);
    const standard = await at.hook("std", json, signed(crypto.randomUUID(), json));
    expect([standard.status, standard.body["followers"]]).toEqual([202, FOLLOWERS]);
    const socket = await connect(`${at.url}/v1/ws`, at.bearer);
    socket.send({ ...CLOSE, ref: "mine" });
    expect(await socket.next()).toMatchObject({
      type: "accepted",
      ref: "mine",
      followers: FOLLOWERS,
    });
    expect(await socket.next()).toMatchObject({ type: "progress", status: "running" });
    socket.close();
  });

  test("a close that names nothing, two things, or what only an open has, is refused", async () => {
    for (const body of [
      { channel: "demo", action: "close" },
      { ...CLOSE, signal: `s0_${"a".repeat(32)}` },
      { ...CLOSE, stakeCents: 1 },
      { ...CLOSE, broker: "desk" },
      { ...CLOSE, copies: [] },
      { ...SIGNAL, action: "flatten" },
    ]) {
      await at.refused("BODY_INVALID", 422, () => at.send(body));
    }
    expect((await at.send({ ...SIGNAL, action: "open" })).status).toBe(202);
    await forget();
    await at.refused("SYMBOL_UNKNOWN", 422, () => at.send({ ...CLOSE, symbol: "XXX" }));
  });

  test("a close is accepted under a halt, a drain and a full backlog, until the backlog is twice as full", async () => {
    const { client } = at.world;
    await forget();
    await opened();
    const set = async (action: StopAction) =>
      await run(client, setHalt, { key: HOME.halts, scope: "platform", action });
    for (const action of ["drain", "halt"] as const) {
      await set(action);
      expect((await at.send(CLOSE)).body["followers"]).toBe(FOLLOWERS);
    }
    await set("lift");
    const fill = async (from: number) => {
      const waiting = Array.from({ length: MAX_UNDISPATCHED }, (_, n) => [
        String(from + n),
        `waiting-${from + n}`,
      ]);
      await client.send("ZADD", [HOME.undispatched, ...waiting.flat()]);
    };
    await fill(0);
    await at.refused("BACKLOG_FULL", 503, () => at.send(SIGNAL));
    expect((await at.send(CLOSE)).status).toBe(202);
    await fill(MAX_UNDISPATCHED);
    await at.refused("BACKLOG_FULL", 503, () => at.send(CLOSE));
    const all = String(2 * MAX_UNDISPATCHED);
    await client.send("ZREMRANGEBYSCORE", [HOME.undispatched, "-inf", all]);
  });

  test("a grant's symbols apply to a close, its stake and its hours do not", async () => {
    await forget();
    const { client } = at.world;
    await opened();
    await opened({ symbol: "GBP/USD" });
    const minute = Math.floor(Date.now() / 60_000) % 1_440;
    const hours = { fromMinute: (minute + 60) % 1_440, toMinute: (minute + 61) % 1_440 };
    const grant = { symbols: ["EUR/USD"], maxStakeCents: 1, hours };
    await client.send("HSET", [HOME.grants(CHANNEL), "tied", JSON.stringify(grant)]);
    const bearer = { authorization: `Bearer ${await at.world.token({ sub: "tied" })}` };
    expect((await at.send(SIGNAL, bearer)).body["code"]).toBe("GRANT_STAKE");
    expect((await at.send(CLOSE, bearer)).body["followers"]).toBe(FOLLOWERS);
    const other = await at.send({ ...CLOSE, symbol: "GBP/USD" }, bearer);
    expect(other.body["code"]).toBe("GRANT_SYMBOL");
    const stranger = { authorization: `Bearer ${await at.world.token({ sub: "stranger" })}` };
    expect((await at.send(CLOSE, stranger)).body["code"]).toBe("GRANT_MISSING");
  });

  test("the positions of a signal are dropped once nothing of it can be open", async () => {
    await forget();
    const id = await opened({ durationSeconds: 1 });
    const open = HOME.open(CHANNEL);
    const [member = ""] = (await at.world.client.send("ZRANGE", [open, "0", "-1"])) as string[];
    expect(member).toContain(id as SignalId);
    await at.world.client.send("ZADD", [open, String(Date.now() - 1), member]);
    expect((await at.send(CLOSE)).body["followers"]).toBe(0);
    expect(await at.world.client.send("ZCARD", [open])).toBe(0);
  });
});

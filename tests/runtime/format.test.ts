/**
 * An edge and a Redis with different formats: nothing is accepted into partitions that no process
 * reads.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { startBridge, type Bridge } from "../../local/bridge.ts";
import { formatKey, HomeKeys } from "../../redis/keys.ts";
import { connectRedis } from "../../workers/runtime/redis-client.ts";
import type { Redis } from "../../workers/runtime/redis.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { until } from "../support/wait.ts";
import { connect, HOOK_SIGNAL, post, SIGNAL, signed } from "./client.ts";
import { expectProblem } from "./harness.ts";
import { RUNTIMES, type RunningEdge } from "./launch.ts";
import { CHANNEL, PARTITIONS, startWorld, URL_SECRET, type World } from "./world.ts";

setDefaultTimeout(60_000);

const SET_TO_4 =
  "its data are in 4 partitions, and this process is set for 8: set FANFARE_PARTITIONS to 4";
const TOKEN = "of-another-region";

/** All keys, out of everyone's sight and back: what a flush takes, and what filling brings. */
const SET_ASIDE = "for _, key in ipairs(redis.call('KEYS', '*')) do redis.call('MOVE', key, 1) end";
const PUT_BACK = `redis.call('SELECT', 1)
for _, key in ipairs(redis.call('KEYS', '*')) do redis.call('MOVE', key, 0) end`;

describe.each(Object.entries(RUNTIMES))("on %s", (_name, launch) => {
  let world: World;
  let far: TestRedis;
  let farClient: Redis;
  let farBridge: Bridge;
  let bearer: Record<string, string>;
  const edges: RunningEdge[] = [];

  beforeAll(async () => {
    world = await startWorld();
    far = await startRedis();
    farClient = connectRedis(far.url);
    farBridge = await startBridge({ redisUrl: far.url, token: TOKEN });
    bearer = { authorization: `Bearer ${await world.token()}` };
  });
  afterAll(async () => {
    farClient.close();
    await Promise.all(edges.map((edge) => edge.kill()));
    await farBridge.stop();
    await far.stop();
    await world.stop();
  });

  async function start(changes: Readonly<Record<string, string>> = {}): Promise<RunningEdge> {
    const edge = await launch({ ...world.settings, ...changes });
    edges.push(edge);
    return edge;
  }
  const send = async ({ url }: RunningEdge) => await post(`${url}/v1/signals`, SIGNAL, bearer);
  const signals = new HomeKeys(PARTITIONS.ofChannel(CHANNEL)).signals;
  const accepted = async () => Number(await world.client.send("XLEN", [signals]));
  const withFar = () => {
    const { local } = JSON.parse(world.settings["FANFARE_REGIONS"] ?? "{}") as { local: object };
    const regions = { local, far: { url: farBridge.url, token: TOKEN } };
    return { FANFARE_REGIONS: JSON.stringify(regions) };
  };

  test("the first acceptance stores the number of partitions, and no later one asks for it", async () => {
    const edge = await start();
    expect(await world.client.send("HEXISTS", [formatKey(0), "version"])).toBe(0);
    expect((await send(edge)).status).toBe(202);
    for (const partition of PARTITIONS.all()) {
      expect(await world.client.send("HGETALL", [formatKey(partition)])).toMatchObject({
        version: "1",
        partitions: "4",
      });
    }
    await world.client.send("HSET", [formatKey(0), "partitions", "8"]);
    expect((await send(edge)).status).toBe(202);
    await world.client.send("HSET", [formatKey(0), "partitions", "4"]);
  });

  test("another number, or a newer format, refuses every signal and says so, until it is corrected", async () => {
    const before = await accepted();
    const edge = await start({ FANFARE_PARTITIONS: "8" });
    const body = JSON.stringify(HOOK_SIGNAL);
    for (const answer of [
      await send(edge),
      await send(edge),
      await post(`${edge.url}/hooks/tv.${URL_SECRET}`, body),
      await post(`${edge.url}/hooks/std`, body, signed("one", body)),
    ]) {
      expectProblem(answer, "STORE_MISMATCHED", 503);
    }
    const socket = await connect(`${edge.url}/v1/ws`, bearer);
    socket.send(SIGNAL);
    expect(await socket.next()).toMatchObject({ type: "problem", code: "STORE_MISMATCHED" });
    socket.close();
    expect(await accepted()).toBe(before);

    const newer = await start();
    await world.client.send("HSET", [formatKey(0), "version", "2"]);
    expectProblem(await send(newer), "STORE_MISMATCHED", 503);
    await world.client.send("HSET", [formatKey(0), "version", "1"]);
    expect((await send(newer)).status).toBe(202);

    await edge.kill();
    const lines = (await edge.errors).split("\n").filter((line) => line.includes(SET_TO_4));
    const named = lines.map((line) => /"redis":"([^"]*)"/.exec(line)?.[1]);
    expect(named).toHaveLength(2);
    expect(new Set(named)).toEqual(new Set(["home", "region local"]));
  });

  test("a region that differs makes the edge refuse every signal; one that does not answer, none", async () => {
    await farClient.send("HSET", [formatKey(0), "version", "1", "partitions", "2"]);
    const edge = await start(withFar());
    expectProblem(await send(edge), "STORE_MISMATCHED", 503);
    await farClient.send("HSET", [formatKey(0), "partitions", "4"]);
    expect((await send(edge)).status).toBe(202);

    await farBridge.stop();
    const other = await start(withFar());
    expect((await send(other)).status).toBe(202);
    expect((await send(other)).status).toBe(202);
    farBridge = await startBridge({ redisUrl: far.url, token: TOKEN });
  });

  test("a home that is emptied while the edge runs refuses every signal and says so, until it is filled", async () => {
    const edge = await start();
    expect((await send(edge)).status).toBe(202);
    await world.client.send("EVAL", [SET_ASIDE, "0"]);
    expect(await world.client.send("EXISTS", [signals])).toBe(0);

    const body = JSON.stringify(HOOK_SIGNAL);
    for (const answer of [
      await send(edge),
      await post(`${edge.url}/hooks/tv.${URL_SECRET}`, body),
      await post(`${edge.url}/hooks/std`, body, signed("two", body)),
    ]) {
      expectProblem(answer, "STORE_UNFILLED", 503);
      expect(answer.headers.get("retry-after")).toBe("1");
    }
    const socket = await connect(`${edge.url}/v1/ws`, bearer);
    socket.send(SIGNAL);
    expect(await socket.next()).toMatchObject({ type: "problem", code: "STORE_UNFILLED" });
    socket.close();
    expect(await world.client.send("EXISTS", [signals])).toBe(0);

    await world.client.send("EVAL", [PUT_BACK, "0"]);
    expect((await send(edge)).status).toBe(202);
  });

  test("a home that does not answer is not mistaken for one that differs", async () => {
    const edge = await start();
    await world.redis.kill();
    expectProblem(await send(edge), "STORE_UNAVAILABLE", 503);
    await world.redis.restart();
    await until("it is accepted", async () => (await send(edge)).status === 202);
  });
});

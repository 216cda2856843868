import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Redis } from "@upstash/redis";
import { startRedis, type TestRedis } from "../tests/support/redis.ts";
import { until } from "../tests/support/wait.ts";
import { startBridge, type Bridge } from "./bridge.ts";

const token = "a-token-for-this-test";
let server: TestRedis;
let bridge: Bridge;
let client: Redis;

beforeAll(async () => {
  server = await startRedis();
  bridge = await startBridge({ redisUrl: server.url, token });
  client = new Redis({
    url: bridge.url,
    token,
    retry: { retries: 0 },
    enableTelemetry: false,
    automaticDeserialization: false,
  });
});

afterAll(async () => {
  await bridge.stop();
  await server.stop();
});

function post(path: string, body: string, headers: Record<string, string> = {}) {
  return fetch(`${bridge.url}${path}`, {
    method: "POST",
    body,
    headers: { authorization: `Bearer ${token}`, ...headers },
  });
}

describe("with the Upstash client", () => {
  test("values are returned unchanged, with any characters", async () => {
    for (const value of ["plain", "OK", "T0s=", "1.50", 'é "quoted" \u0000 \u{1F600}\r\n', ""]) {
      expect(await client.set("value", value)).toBe("OK");
      expect(await client.get<string>("value")).toBe(value);
      expect(await client.eval<[string], unknown>("return {{ARGV[1]}}", [], [value])).toEqual([
        [value],
      ]);
    }
  });

  test("replies have the shapes of RESP2: nil, integers, lists, scores as text", async () => {
    expect(await client.get("absent")).toBeNull();
    expect(await client.incr("count")).toBe(1);
    await client.zadd("scores", { score: 1.5, member: "a" }, { score: 2, member: "b" });
    expect(await client.zrange<string[]>("scores", 0, -1, { withScores: true })).toEqual([
      "a",
      "1.5",
      "b",
      "2",
    ]);
    expect(await client.hgetall("absent")).toEqual([] as never);
    await client.xadd("stream", "1-1", { field: "value" });
    const [entry] = await client.eval<[], unknown[]>(
      "return redis.call('XRANGE', KEYS[1], '-', '+')",
      ["stream"],
      [],
    );
    expect(entry).toEqual(["1-1", ["field", "value"]]);
  });

  test("a script's nested reply keeps its shape", async () => {
    const reply = await client.eval(
      "return {1, {'OK', 2, {}, {ARGV[1]}}, false, redis.status_reply('OK'), KEYS[1]}",
      ["key"],
      ["argument"],
    );
    expect(reply).toEqual([1, ["OK", 2, [], ["argument"]], null, "OK", "key"]);
  });

  test("one failing command of a pipeline does not change the results of the others", async () => {
    await client.set("text", "not a number");
    const replies = await client
      .pipeline()
      .set("one", "1")
      .incr("text")
      .get("one")
      .exec({ keepErrors: true });
    expect(replies.map((each) => each.result)).toEqual(["OK", undefined, "1"]);
    expect(replies[1]?.error).toStartWith("ERR value is not an integer");
  });

  test("a transaction is atomic among hundreds of others", async () => {
    const rounds = Array.from({ length: 200 }, (_, round) =>
      Promise.all([
        client.multi().incr("left").incr("right").exec<[number, number]>(),
        client.set(`noise:${round}`, "1"),
      ]),
    );
    for (const [[left, right]] of await Promise.all(rounds)) expect(left).toBe(right);
  });

  test("a transaction with a malformed command changes nothing", async () => {
    await client.set("kept", "before");
    const response = await post("/multi-exec", '[["SET","kept","after"],["GET"]]');
    expect(response.status).toBe(400);
    expect(((await response.json()) as { error: string }).error).toStartWith("EXECABORT");
    expect(await client.get<string>("kept")).toBe("before");
  });

  test("subscribers get each message, and an end when they leave", async () => {
    const seen: unknown[] = [];
    const [one, other] = [client.subscribe(["news"]), client.subscribe(["news"])];
    const ready = [0, 0];
    one.on("subscribe", () => (ready[0] = 1));
    other.on("subscribe", () => (ready[1] = 1));
    one.on("message", (event) => seen.push(event.message));
    await until("both are subscribed", () => !ready.includes(0));
    expect(await client.publish("news", '{"moved":\n1}')).toBe(1);
    await until("the message came", () => seen.length > 0);
    expect(seen).toEqual(['{"moved": 1}']);
    await Promise.all([one.unsubscribe(), other.unsubscribe()]);
    await until(
      "the last listener has left",
      async () => (await client.publish("news", "x")) === 0,
    );
  });
});

describe("the protocol", () => {
  test("every path requires the token", async () => {
    for (const path of ["/", "/pipeline", "/multi-exec", "/subscribe/news", "/get/one", "/else"]) {
      for (const authorization of ["", "Bearer ", `Bearer ${token}x`, token]) {
        const response = await post(path, '["PING"]', { authorization });
        expect(response.status).toBe(401);
        expect(await response.json()).toEqual({ error: "Unauthorized" });
      }
    }
  });

  test("a command may be in the path, with its last argument as the body", async () => {
    await post("/set/in%2Fpath", "a body");
    const response = await fetch(`${bridge.url}/get/in%2Fpath`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(await response.json()).toEqual({ result: "a body" });
  });

  test.each([
    ["not JSON", "/", "{"],
    ["no array", "/", '{"GET":"a"}'],
    ["an empty command", "/", "[]"],
    ["an object as argument", "/", '["SET","a",{}]'],
    ["an unknown command", "/", '["BOGUS"]'],
    ["a blocking pop", "/", '["blpop","a","0"]'],
    ["a blocking read", "/pipeline", '[["XREAD","BLOCK","0","STREAMS","a","$"]]'],
    ["a change of the connection", "/", '["SELECT","1"]'],
    ["a nested transaction", "/multi-exec", '[["MULTI"]]'],
    ["the server's end", "/shutdown/nosave", ""],
    ["a broken escape", "/get/%ff", ""],
  ])("%s is refused with 400", async (_, path, body) => {
    const response = await post(path, body);
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({ error: expect.any(String) });
  });

  test("a read whose key is named BLOCK is not mistaken for a blocking read", async () => {
    const response = await post("/", '["XREAD","STREAMS","BLOCK","0"]');
    expect(await response.json()).toEqual({ result: null });
  });

  test("a body above the limit is refused with 413", async () => {
    const response = await post("/", `["SET","a","${"x".repeat(8 * 1024 * 1024)}"]`);
    expect(response.status).toBe(413);
  });
});

test("while Redis is not reachable the answer is 503 at once; after its return everything works as before", async () => {
  await client.set("kept", "value");
  const events: string[] = [];
  const feed = await post("/subscribe/news", "", { accept: "text/event-stream" });
  const read = feed.text().then((text) => events.push(text, "end"));
  await server.kill();
  const started = performance.now();
  for (const path of ["/", "/subscribe/news"]) {
    const response = await post(path, '["GET","kept"]');
    expect(response.status).toBe(503);
  }
  expect((await post("/pipeline", '[["GET","kept"]]')).status).toBe(503);
  expect(performance.now() - started).toBeLessThan(1_000);
  await read;
  expect(events).toEqual(["data: subscribe,news,1\n\n", "end"]);
  await server.restart();
  expect((await post("/", '["PING"]')).status).toBe(200);
});

/** What a call comes to when its node is lost, on a real cluster. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { startCluster, type TestCluster } from "../../tests/support/cluster.ts";
import { until } from "../../tests/support/wait.ts";
import { connectRedis } from "./redis-client.ts";
import type { Redis } from "./redis.ts";

setDefaultTimeout(60_000);

let cluster: TestCluster;
let redis: Redis;
/** On connections of its own: a call that waits holds up those behind it. */
let other: Redis;

beforeAll(async () => {
  cluster = await startCluster();
  [redis, other] = [connectRedis(cluster.url), connectRedis(cluster.url)];
});
afterAll(async () => {
  redis.close();
  other.close();
  await cluster.stop();
});

test("a command under way when its connection breaks is rejected and not sent again, so that its caller looks for what it may have done", async () => {
  await redis.send("XGROUP", ["CREATE", "{1}:jobs", "group", "0", "MKSTREAM"]);
  const read = ["GROUP", "group", "one", "BLOCK", "2500", "STREAMS", "{1}:jobs", ">"];
  const waiting = redis.send("XREADGROUP", read).then(
    () => "answered",
    () => "rejected",
  );
  const nodes = (await other.primaries?.()) ?? [];
  await until("it waits at its node", async () => {
    const clients = await Promise.all(nodes.map((node) => node.send("CLIENT", ["LIST"])));
    return clients.some((list) => String(list).includes("cmd=xreadgroup"));
  });
  await Promise.all(nodes.map((node) => node.send("CLIENT", ["KILL", "TYPE", "normal"])));
  expect(await waiting).toBe("rejected");
  await until("the client is connected again", async () =>
    redis.send("XLEN", ["{1}:jobs"]).then(
      () => true,
      () => false,
    ),
  );
});

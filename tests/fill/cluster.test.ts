/**
 * Home and region in one cluster, as one machine has them in one Redis. A node
 * that loses all of its keys is filled again.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { startCluster } from "../support/cluster.ts";
import { FOLLOWERS, startWorld, type World } from "./world.ts";

setDefaultTimeout(120_000);

let world: World;
beforeAll(async () => {
  const cluster = await startCluster();
  world = await startWorld(cluster, { url: cluster.url, stop: async () => undefined });
});
afterAll(async () => {
  await world.stop();
});

test("each node of a cluster that is emptied alone, and all at once", async () => {
  await world.reachAll();
  const nodes = (await world.home.primaries?.()) ?? [];
  expect(nodes).toHaveLength(3);
  for (const some of [...nodes.map((node) => [node]), nodes]) {
    await Promise.all(some.map((node) => node.send("FLUSHALL", [])));
    const { refused, accepted, ms } = await world.reachAll();
    console.log(
      `${some.length} of 3 nodes flushed: a signal reaches all ${FOLLOWERS} followers after ${ms} ms (${refused.length} refused, ${accepted.length} accepted)`,
    );
    expect(refused.filter((code) => code !== "STORE_UNFILLED")).toEqual([]);
    const ids = world.broker.book().map(({ clientOrderId }) => clientOrderId);
    expect(ids.length).toBe(new Set(ids).size);
  }
});

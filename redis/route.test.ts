import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { asId, type ChannelId } from "../domain/ids.ts";
import { startScriptRedis, type ScriptRedis } from "../tests/support/scripts.ts";
import { HomeKeys } from "./keys.ts";
import { parseRoute, parseRoutes, route, routeField, type Route } from "./route.ts";

const CHANNEL = asId<ChannelId>("demo");
const HOME = new HomeKeys(0);

let redis: ScriptRedis;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
});

const to = (shard: number, version: number, count: number): Route => ({
  region: "local",
  broker: "desk",
  partition: 3,
  shard,
  version,
  count,
});

const set = (...routes: Route[]) => redis.run(route, { home: HOME, channel: CHANNEL, routes });

const stored = async (): Promise<Route[]> =>
  parseRoutes(Object.entries(await redis.hash(HOME.routes(CHANNEL))).flat());

describe("a route", () => {
  test("is read as it was written", async () => {
    await set(to(0, 1_800_000_000_000, 512), to(12, 7, 1));
    expect(await stored()).toEqual([to(0, 1_800_000_000_000, 512), to(12, 7, 1)]);
    expect(parseRoute(routeField(to(5, 1, 2)), "1,2")).toEqual(to(5, 1, 2));
  });

  test("moves to a newer version of its shard, and never back", async () => {
    expect(await set(to(0, 5, 10))).toBe(1);
    expect(await set(to(0, 6, 11))).toBe(1);
    expect(await set(to(0, 6, 99), to(0, 5, 99), to(0, 4, 99))).toBe(0);
    expect(await stored()).toEqual([to(0, 6, 11)]);
    // Versions are numbers: as texts, 10 comes before 6.
    expect(await set(to(0, 10, 12))).toBe(1);
  });

  test("moves without the others of its channel", async () => {
    await set(to(0, 5, 10), to(1, 5, 20));
    expect(await set(to(0, 4, 1), to(1, 6, 21), to(2, 1, 1))).toBe(2);
    expect(await stored()).toEqual([to(0, 5, 10), to(1, 6, 21), to(2, 1, 1)]);
  });

  test("to an empty shard is not used, and keeps its version", async () => {
    await set(to(0, 5, 10));
    await set(to(0, 6, 0));
    expect(await stored()).toEqual([]);
    expect(await set(to(0, 5, 10))).toBe(0);
  });
});

test("an empty list has no routes, and a truncated one has its complete routes", () => {
  expect(parseRoutes([])).toEqual([]);
  expect(parseRoutes([routeField(to(0, 0, 0)), "1,2", routeField(to(1, 0, 0))])).toEqual([
    to(0, 1, 2),
  ]);
});

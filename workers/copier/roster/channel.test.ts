import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import type { Channel } from "../../../domain/copier/channel.ts";
import type { Grant } from "../../../domain/copier/grant.ts";
import { asId, type ChannelId, type PersonId } from "../../../domain/ids.ts";
import { HomeKeys } from "../../../redis/keys.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { projectChannel } from "./channel.ts";

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

const project = (
  version: number,
  grants: Readonly<Record<string, Grant>>,
  changes: Partial<Channel> = {},
) =>
  redis.run(projectChannel, {
    home: HOME,
    channel: {
      id: CHANNEL,
      name: "Demo",
      provider: asId<PersonId>("provider"),
      symbols: ["EUR/USD"],
      deadlineMs: 1_000,
      version,
      ...changes,
    },
    grants: grants as Readonly<Record<PersonId, Grant>>,
  });

const settings = async () =>
  JSON.parse(String(await redis.send("HGET", HOME.channel(CHANNEL), "settings"))) as unknown;

test("a channel has what acceptance needs: provider, symbols, deadline and grants", async () => {
  expect(await project(1, { alice: { maxStakeCents: 5 }, bob: {} })).toBe(true);
  expect(await settings()).toEqual({
    provider: "provider",
    symbols: ["EUR/USD"],
    deadlineMs: 1_000,
  });
  expect(await redis.hash(HOME.grants(CHANNEL))).toEqual({
    alice: '{"maxStakeCents":5}',
    bob: "{}",
  });
});

test("a revoked grant is gone, and an older version does not bring it back", async () => {
  await project(1, { alice: {}, bob: {} });
  expect(await project(2, { bob: {} })).toBe(true);
  expect(await redis.hash(HOME.grants(CHANNEL))).toEqual({ bob: "{}" });
  expect(await project(1, { alice: {}, bob: {} })).toBe(false);
  expect(await project(2, { alice: {} })).toBe(false);
  expect(await redis.hash(HOME.grants(CHANNEL))).toEqual({ bob: "{}" });
  // Versions are compared as numbers: as text, 10 would come before 2.
  expect(await project(10, {})).toBe(true);
  expect(await redis.hash(HOME.grants(CHANNEL))).toEqual({});
});

test("a channel that changes continues its signal numbers, and its routes stay", async () => {
  await project(1, {});
  await redis.send("HSET", HOME.channel(CHANNEL), "sequence", "7");
  await redis.send("HSET", HOME.routes(CHANNEL), "local/desk/0/0", "1,1");
  await project(2, {}, { deadlineMs: 2_000 });
  expect(await settings()).toMatchObject({ deadlineMs: 2_000 });
  expect(await redis.send("HGET", HOME.channel(CHANNEL), "sequence")).toBe("7");
  expect(await redis.send("EXISTS", HOME.routes(CHANNEL))).toBe(1);
});

/** Settings as they are given: by the command. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { PartitionMap, RegionKeys } from "../../redis/keys.ts";
import { runCommand } from "../../tests/support/command.ts";
import { openRedis } from "../../tests/support/own-redis.ts";

setDefaultTimeout(20_000);

const folder = mkdtempSync(join(tmpdir(), "fanfare-settings-"));
const { server, redis } = await openRedis();
const env = {
  FANFARE_REDIS_URL: server.url,
  FANFARE_DATA: folder,
  FANFARE_PARTITIONS: "3",
};
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const settings = (...words: string[]) =>
  runCommand(["workers/commands/main.ts", "settings", ...words], env);

const NONE = { scope: "platform", plan: {}, paused: false, version: 0 };

test("sets what holds for the whole platform in every partition, and shows it", async () => {
  const { code: unset, out: told } = await settings("platform");
  expect([unset, JSON.parse(told)]).toEqual([0, NONE]);
  const body = { plan: { maxStakeCents: 100 }, paused: true };
  const { code, out } = await settings("platform", JSON.stringify(body));
  expect([code, JSON.parse(out)]).toEqual([0, { scope: "platform", ...body, version: 1 }]);
  for (const partition of new PartitionMap(3).all()) {
    const stored = await redis.send("HGET", [new RegionKeys(partition).layers, "platform"]);
    expect(stored).toBe(`1,${JSON.stringify(body)}`);
  }
});

test("says what it cannot read, and changes nothing", async () => {
  const { out: before } = await settings("platform");
  for (const words of [
    [],
    ["everything"],
    ["platform", "not JSON"],
    ["platform", '{"plan":{"maxStakeCents":-1},"paused":false}'],
    ["platform", '{"plan":{}}'],
    ["platform", '{"plan":{},"paused":false}', "more"],
  ]) {
    const { code, err } = await settings(...words);
    expect([code, err]).toEqual([2, expect.stringContaining("usage: settings")]);
  }
  expect((await settings("platform")).out).toBe(before);
});

test("records what a Redis that is away cannot take yet, and says so", async () => {
  server.pause();
  const { code, out, err } = await settings("channel:demo", '{"plan":{},"paused":true}');
  server.resume();
  expect([code, JSON.parse(out)]).toMatchObject([1, { paused: true, version: 1 }]);
  expect(err).toContain("will stand as soon as");
});

import { expect, test } from "bun:test";
import { asId, signalIdIn, type ChannelId } from "../../../domain/ids.ts";
import type { ChainLink } from "../stored/events.ts";
import { HomeKeys } from "../../../redis/keys.ts";
import { openRedis } from "../../../tests/support/own-redis.ts";
import type { Entry } from "../../runtime/entries.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { isOutage } from "../../runtime/outage.ts";
import { startRedis } from "../../../tests/support/redis.ts";
import { chain } from "./chain.ts";

const HOME = new HomeKeys(0);
const sign = (hash: string) => Promise.resolve(`signed ${hash}`);

const { redis } = await openRedis();

function makeEntry(channel: ChannelId, sequence: number): Entry {
  const id = signalIdIn(0, String(sequence).padStart(32, "0"));
  const signal = JSON.stringify({ id, channel, sequence, acceptedAtMs: sequence });
  const fields = new Map([
    ["signal", signal],
    ["sha256", "a".repeat(64)],
  ]);
  return { id: `${sequence}-0`, fields };
}

async function readLinks(channel: ChannelId): Promise<ChainLink[]> {
  const entries = (await redis.send("XRANGE", [HOME.links, "-", "+"])) as [string, string[]][];
  return entries
    .map(([, flat]) => JSON.parse(flat[1] ?? "") as ChainLink)
    .filter((link) => link.channel === channel);
}

test("two workers that each have the signals that the other waits for link everything, in order", async () => {
  const channel = asId<ChannelId>("shared");
  const entries = [1, 2, 3, 4].map((sequence) => makeEntry(channel, sequence));
  const [one, two] = [entries.filter((_, n) => n % 2 === 0), entries.filter((_, n) => n % 2 === 1)];
  for (let round = 0; round < 2; round += 1) {
    for (const each of [one, two]) {
      await chain(redis, 0, sign, each);
    }
  }
  expect((await readLinks(channel)).map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4]);
  expect(await chain(redis, 0, sign, entries)).toEqual(["done", "done", "done", "done"]);
});

test("a batch of several channels is linked with one signature for each, on its last link", async () => {
  const channels = ["left", "right"].map((each) => asId<ChannelId>(each));
  const entries = [1, 2, 3].flatMap((n) => channels.map((channel) => makeEntry(channel, n)));
  expect(new Set(await chain(redis, 0, sign, entries))).toEqual(new Set(["acked"]));
  for (const channel of channels) {
    const links = await readLinks(channel);
    expect(links.map(({ signature }) => signature)).toEqual([
      undefined,
      undefined,
      `signed ${links[2]?.linkHash}`,
    ]);
    expect(links[1]?.previousHash).toBe(links[0]?.linkHash);
  }
});

test("an entry that is not a signal is a dead letter, and delays nothing", async () => {
  const channel = asId<ChannelId>("mixed");
  const broken: Entry = { id: "9-9", fields: new Map([["signal", "{"]]) };
  expect(await chain(redis, 0, sign, [broken, makeEntry(channel, 1)])).toEqual([
    { dead: "not an accepted signal" },
    "acked",
  ]);
});

test("a missing number, or a head that cannot be read, delays its own channel and no other", async () => {
  const [gap, spoilt, whole] = ["gap", "spoilt", "whole"].map((each) => asId<ChannelId>(each)) as [
    ...[ChannelId, ChannelId, ChannelId],
  ];
  await redis.send("SET", [HOME.chainHead(spoilt), "{"]);
  const entries = [
    makeEntry(gap, 1),
    makeEntry(gap, 3),
    makeEntry(gap, 4),
    makeEntry(spoilt, 1),
    makeEntry(whole, 1),
  ].map((entry, index) => ({ ...entry, id: `${100 + index}-0` }));
  const verdicts = await chain(redis, 0, sign, entries);
  expect(verdicts).toEqual(["acked", "later", "later", "later", "acked"]);
  expect((await readLinks(gap)).map(({ sequence }) => sequence)).toEqual([1]);

  await chain(redis, 0, sign, [makeEntry(gap, 2)]);
  await redis.send("DEL", [HOME.chainHead(spoilt)]);
  expect(await chain(redis, 0, sign, entries.slice(1, 4))).toEqual(["acked", "acked", "acked"]);
});

test("a Redis that is away fails the whole batch, as an outage", async () => {
  const other = await startRedis();
  const client = connectRedis(other.url);
  await client.send("PING", []);
  await other.stop();
  const failed = chain(client, 0, sign, [makeEntry(asId<ChannelId>("away"), 1)]).catch(
    (failure: unknown) => failure,
  );
  client.close();
  expect(isOutage(await failed)).toBe(true);
});

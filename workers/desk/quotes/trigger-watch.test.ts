/** Watches on a real Redis. The asked quotes come from the test's own quote server. */
import { clear } from "../../../tests/support/redis.ts";
import { afterEach, expect, test } from "bun:test";
import type { Quote } from "../../../domain/desk/quote.ts";
import { takeQuote } from "../stored/asked-quote.ts";
import { eventsOf, parseAuditEntry, type AuditEvent } from "../stored/audit.ts";
import { AccountBook } from "../accounts/book.ts";
import { executeCommands, type ReadyCommand } from "../accounts/execute.ts";
import { PartitionMap } from "../../../redis/keys.ts";
import { openRedis } from "../../../tests/support/own-redis.ts";
import { DeskKeys, askedQuoteKey } from "../stored/keys.ts";
import { startPeer, type Peer } from "../../../tests/support/tcp.ts";
import { until } from "../../../tests/support/wait.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { HOUSE_USER, houseQuotes } from "./house.ts";
import { auditPaid } from "./paid.ts";
import { triggerWatch, type TriggerWatch } from "./trigger-watch.ts";

const partitions = new PartitionMap(2);
const stopping: (() => Promise<void>)[] = [];

const { server, redis } = await openRedis();
afterEach(async () => {
  await Promise.all(stopping.splice(0).map((stop) => stop()));
  await clear(redis);
});

/** Answers with this price; without one it closes the connection. */
async function startSource(price: () => string | undefined): Promise<Peer> {
  const peer = await startPeer((socket, question) => {
    const [symbol = "", user = ""] = question.trimEnd().split(",");
    const said = price();
    socket.end(said === undefined ? "" : `${said},${symbol},${user},${Date.now()},c2VjcmV0\n`);
  });
  stopping.push(async () => peer.stop());
  return peer;
}

/** One more watch with its own connection, and how often it has looked. */
function startWatch(url: string, streamed: string[] = []): TriggerWatch & { looks(): number } {
  const client = connectRedis(server.url);
  let looks = 0;
  const counting: Redis = {
    send(command, args) {
      if (args.includes(new DeskKeys(1).sellTriggers) && args[1] === "1") looks += 1;
      return client.send(command, args);
    },
    close: () => client.close(),
  };
  const settings = { FANFARE_QUOTES_ASKED: url, FANFARE_QUOTES_SYMBOLS: streamed };
  const asked = houseQuotes(client, settings, {
    onPaid: (answer) => auditPaid(client, { partitions, server: "quotes1" }, answer),
  });
  const watch = triggerWatch({
    redis: counting,
    partitions,
    asked,
    streamed,
    server: "quotes1",
    now: Date.now,
  });
  const stop = new AbortController();
  const following = watch.follow(stop.signal);
  stopping.push(async () => {
    stop.abort();
    await following;
    client.close();
  });
  return { ...watch, looks: () => looks };
}

/** Users with 10.00 reserved, who buy ABC at 3.00 or below. */
async function wait(users: readonly string[]): Promise<void> {
  const plain = { priceCents: 0, quoteTimeMs: 0, session: "", n: 0 };
  const quoted = { ...plain, priceCents: 900, quoteTimeMs: Date.now() };
  for (const user of users) {
    const partition = partitions.ofAccount(user as never);
    const commands: ReadyCommand[] = [
      { name: "ADD", user, symbol: "", cents: 1_000, ...plain },
      { name: "SET_BUY_AMOUNT", user, symbol: "ABC", cents: 1_000, ...plain },
      { name: "SET_BUY_TRIGGER", user, symbol: "ABC", cents: 300, ...quoted },
    ];
    const call = { partition, partitions: 2, server: "d" };
    await executeCommands(new AccountBook(redis, call), commands, 60_000);
  }
}

async function events(): Promise<AuditEvent[]> {
  const found: AuditEvent[] = [];
  for (const partition of partitions.all()) {
    const entries = (await redis.send("XRANGE", [new DeskKeys(partition).audit, "-", "+"])) as [
      string,
      string[],
    ][];
    for (const [, flat] of entries) {
      const pairs = flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1]!]] : []));
      found.push(...eventsOf(parseAuditEntry(new Map(pairs as [string, string][]))!));
    }
  }
  return found;
}

const firedUsers = async (): Promise<string[]> =>
  (await events()).filter(({ kind }) => kind === "fired").map(({ user }) => user);

const USERS = Array.from({ length: 12 }, (_, index) => `u${index}`);

test("a symbol with a waiting trigger is requested when its quote expires, once for all watches, in the house's name", async () => {
  const source = await startSource(() => "2.50");
  const lastMs = Date.now() - 59_000;
  await redis.send("SET", [
    askedQuoteKey("ABC"),
    `9000000,${lastMs}`,
    "PXAT",
    String(lastMs + 60_000),
  ]);
  await wait(USERS);
  const watches = [startWatch(source.url), startWatch(source.url), startWatch(source.url)];
  await until("all have looked", () => watches.every(({ looks }) => looks() > 0));
  expect(source.heard).toEqual([]);
  expect(await firedUsers()).toEqual([]);
  await until("all have fired", async () => (await firedUsers()).length === USERS.length);
  const looks = watches.map((each) => each.looks());
  await until("all have looked again", () =>
    watches.every((each, index) => each.looks() > looks[index]! + 1),
  );
  expect(source.heard).toEqual([`ABC,${HOUSE_USER}\n`]);
  expect((await firedUsers()).toSorted()).toEqual(USERS.toSorted());
  const paid = (await events()).filter(({ kind }) => kind === "quote");
  expect(paid).toMatchObject([{ user: HOUSE_USER, symbol: "ABC", priceCents: 250 }]);
});

test("a symbol without a trigger is not requested, and one without a quote not at each look", async () => {
  const source = await startSource(() => undefined);
  const watch = startWatch(source.url);
  await until("it has looked", () => watch.looks() > 1);
  expect(source.heard).toEqual([]);
  await wait(["u1"]);
  await until("it is asked for", () => source.heard.length > 0);
  const { length } = source.heard;
  const looks = watch.looks();
  await until("it has looked often", () => watch.looks() > looks + 3);
  expect(source.heard).toHaveLength(length);
});

test("a quote that meets no trigger fires nothing, and the next is not requested before it expires", async () => {
  const source = await startSource(() => "3.01");
  await wait(USERS);
  const watch = startWatch(source.url);
  await until("it is asked for", () => source.heard.length === 1);
  const looks = watch.looks();
  await until("it has looked often", () => watch.looks() > looks + 2);
  expect(source.heard).toHaveLength(1);
  expect(await firedUsers()).toEqual([]);
});

test("a streamed quote fires at once, is the desk's quote too, and its symbol is never requested", async () => {
  const source = await startSource(() => "1.00");
  const quote = (priceMicros: number, ageMs: number): Quote => ({
    symbol: "ABC",
    priceMicros,
    sourceTimeMs: Date.now() - ageMs,
  });
  await wait(USERS);
  const watch = startWatch(source.url, ["ABC"]);
  await until("it has looked", () => watch.looks() > 1);
  watch.add([quote(2_000_000, 1_500), quote(4_000_000, 10), { ...quote(1, 0), symbol: "R_100" }]);
  const cached = () =>
    run(redis, takeQuote, { symbol: "ABC", token: "test", leaseMs: 1 }).then((each) =>
      each.kind === "cached" ? each.quote.priceMicros : undefined,
    );
  await until("the desk has it", async () => (await cached()) === 4_000_000);
  expect(await firedUsers()).toEqual([]);
  watch.add([quote(2_000_000, 0), quote(5_000_000, 0)]);
  await until("all have fired", async () => (await firedUsers()).length === USERS.length);
  expect(source.heard).toEqual([]);
});

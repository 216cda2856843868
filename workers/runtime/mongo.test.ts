/** When a client is replaced by another: with a cut connection, and with a server that answers. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { startLink, type CuttableLink } from "../../tests/support/cut.ts";
import { startMongo } from "../../tests/support/mongo.ts";
import { until } from "../../tests/support/wait.ts";
import { connectMongo, type Mongo } from "./mongo.ts";
import { isOutage } from "./outage.ts";
import type { Stored } from "../records/mongo/collection.ts";

setDefaultTimeout(30_000);

const LIMITS = { stepMs: 300, callMs: 900 };

const server = await startMongo();
let link: CuttableLink;
let mongo: Mongo;

/** `where` adds a condition to the id. */
async function bulkWrite(_id: string, where = {}, seen: unknown = true): Promise<unknown> {
  const one = {
    updateOne: { filter: { _id, ...where }, update: { $set: { seen } }, upsert: true },
  };
  return await mongo.within(() =>
    mongo.db().collection<Stored>("things").bulkWrite([one], { ordered: false }),
  );
}

/** Whether it was written. */
async function write(_id: string, where = {}): Promise<boolean> {
  return await bulkWrite(_id, where).then(
    () => true,
    () => false,
  );
}

describe.skipIf(server === undefined)("a client of MongoDB", () => {
  beforeAll(async () => {
    if (!server) return;
    link = await startLink(server.port);
    const uri = new URL(server.uri);
    uri.hostname = "127.0.0.1";
    uri.port = String(link.port);
    // A replica set would report its members' own addresses, and bypass the proxy.
    uri.searchParams.set("directConnection", "true");
    uri.searchParams.delete("replicaSet");
    mongo = connectMongo(uri.href, LIMITS);
  });
  afterAll(async () => {
    await mongo.close();
    await link.stop();
    await server?.stop();
  });

  test("without answers to its bulk writes is replaced by another, which writes once it can", async () => {
    await until("it writes", () => write("before"));
    const { client } = mongo.db();
    link.cut();
    await until("another has taken its place", async () => {
      expect(await write("during")).toBe(false);
      return mongo.db().client !== client;
    });
    link.mend();
    await until("it writes", () => write("after"));
  });

  test("distinguishes a bulk write that reaches no server from one that cannot be written", async () => {
    const failure = async (...write: Parameters<typeof bulkWrite>): Promise<unknown> =>
      await bulkWrite(...write).catch((error: unknown) => error);
    await until("it writes", () => write("distinguished"));
    link.cut();
    // Not only the first failure, which breaks a connection, but also later ones, which find none.
    const untilMs = Date.now() + 3 * LIMITS.callMs;
    while (Date.now() < untilMs) expect(isOutage(await failure("distinguished"))).toBe(true);
    link.mend();
    await until("it writes", () => write("distinguished"));
    expect(isOutage(await failure("distinguished", { seen: false }))).toBe(false);
    // The driver cannot encode it.
    expect(isOutage(await failure("distinguished", {}, { "a\0b": 1 }))).toBe(false);
  });

  test("whose bulk writes the server refuses stays", async () => {
    await until("it writes", () => write("refused"));
    const { client } = mongo.db();
    const untilMs = Date.now() + 2 * LIMITS.callMs;
    // The document exists but does not match: creating it again would be a duplicate.
    while (Date.now() < untilMs) expect(await write("refused", { seen: false })).toBe(false);
    expect(mongo.db().client).toBe(client);
  });
});

/** When a client is given up for another: a way that is cut, and a server that answers. */
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

/** `where` narrows which document of that id is meant. */
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
    // A replica set would name its members' own addresses, past the cut.
    uri.searchParams.set("directConnection", "true");
    uri.searchParams.delete("replicaSet");
    mongo = connectMongo(uri.href, LIMITS);
  });
  afterAll(async () => {
    await mongo.close();
    await link.stop();
    await server?.stop();
  });

  test("that none of its bulk writes is answered gives way to another, which writes once it can", async () => {
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

  test("tells a bulk write that reaches no server from one that cannot be written", async () => {
    const failure = async (...write: Parameters<typeof bulkWrite>): Promise<unknown> =>
      await bulkWrite(...write).catch((error: unknown) => error);
    await until("it writes", () => write("told apart"));
    link.cut();
    // Not only the first failure, which breaks a connection, but those that find none as well.
    const untilMs = Date.now() + 3 * LIMITS.callMs;
    while (Date.now() < untilMs) expect(isOutage(await failure("told apart"))).toBe(true);
    link.mend();
    await until("it writes", () => write("told apart"));
    expect(isOutage(await failure("told apart", { seen: false }))).toBe(false);
    // The driver cannot encode it.
    expect(isOutage(await failure("told apart", {}, { "a\0b": 1 }))).toBe(false);
  });

  test("whose bulk writes the server refuses stays", async () => {
    await until("it writes", () => write("refused"));
    const { client } = mongo.db();
    const untilMs = Date.now() + 2 * LIMITS.callMs;
    // The document is there, and not so: making it anew would be a duplicate.
    while (Date.now() < untilMs) expect(await write("refused", { seen: false })).toBe(false);
    expect(mongo.db().client).toBe(client);
  });
});

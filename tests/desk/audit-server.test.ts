/**
 * Data on one MongoDB and audit on another: each is written to its own server, and neither
 * waits for the other.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { MongoClient } from "mongodb";
import { HomeKeys } from "../../redis/keys.ts";
import { openAudit } from "../../workers/desk/audit/open.ts";
import type { AuditStore } from "../../workers/desk/audit/port.ts";
import { runCommand } from "../support/command.ts";
import { startLink, type CuttableLink } from "../support/cut.ts";
import { auditEvents, readBooks, sumEvents } from "../support/desk-audit.ts";
import { startAuditMongo, startMongo } from "../support/mongo.ts";
import { startRole, type RoleProcess } from "../support/role.ts";
import { sendLines, startTradingDesk, type TradingDesk } from "../support/trading-desk.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(60_000);

const mongo = await startMongo();
const audit = await startAuditMongo();
const USERS = ["alice", "bob", "carol"];

describe.skipIf(!mongo || !audit)("data and audit on servers of their own", () => {
  let link: CuttableLink;
  let desk: TradingDesk;
  let recorder: RoleProcess;
  let store: AuditStore;
  const clients: MongoClient[] = [];

  beforeAll(async () => {
    link = await startLink(audit!.port);
    const uri = new URL(audit!.uri);
    uri.host = `127.0.0.1:${link.port}`;
    // A replica set would report its members' own addresses, and bypass the proxy.
    uri.searchParams.set("directConnection", "true");
    uri.searchParams.delete("replicaSet");
    desk = await startTradingDesk({
      servers: 1,
      prices: { ABC: "5.00" },
      env: { MONGODB_URI: mongo!.uri, AUDIT_MONGODB_URI: uri.href },
    });
    recorder = await startRole("recorder", desk.env);
    store = await openAudit({
      FANFARE_DATA: "",
      MONGODB_URI: mongo!.uri,
      AUDIT_MONGODB_URI: audit!.uri,
    });
    for (const each of [mongo!, audit!]) clients.push(new MongoClient(each.uri));
  });
  afterAll(async () => {
    link.mend();
    await Promise.all(clients.map((each) => each.close()));
    await store.close();
    await recorder.stop();
    await desk.stop();
    await link.stop();
    await Promise.all([mongo!.stop(), audit!.stop()]);
  });

  /** How many documents each collection of a server has; empty collections are omitted. */
  async function holdings(which: 0 | 1): Promise<Record<string, number>> {
    const db = clients[which]!.db();
    const names = (await db.listCollections().toArray()).map(({ name }) => name);
    const counts = await Promise.all(
      names.map(async (name) => [name, await db.collection(name).countDocuments()] as const),
    );
    return Object.fromEntries(counts.filter(([, count]) => count > 0));
  }

  const trade = () =>
    sendLines(
      desk.servers[0]!,
      desk.token,
      USERS.flatMap((user) => [
        `ADD,${user},100.00`,
        `BUY,${user},ABC,50.00`,
        `COMMIT_BUY,${user}`,
      ]),
    );

  async function accept(sequence: number): Promise<string> {
    const id = `s0_${String(sequence).repeat(32)}`;
    const signal = {
      id,
      channel: "demo",
      sender: "ana",
      provider: "ana",
      symbol: "EUR/USD",
      sequence,
      contract: "CALL",
      stakeCents: 500,
      durationSeconds: 30,
      acceptedAtMs: 1_000,
      deadlineMs: 2_000,
    };
    await desk.client.send("XADD", [
      new HomeKeys(0).signals,
      "*",
      "signal",
      JSON.stringify(signal),
      "sha256",
      "f".repeat(64),
      "followers",
      "2",
    ]);
    return id;
  }

  test("events are at the audit's server and nowhere else, signals at the other", async () => {
    await trade();
    await accept(1);
    await until("the signal is recorded", async () => (await holdings(0))["signals"] === 1);
    await until("the trades are audited", async () => (await holdings(1))["audit"] !== undefined);
    expect(Object.keys(await holdings(0))).toEqual(["signals"]);
    expect(Object.keys(await holdings(1)).toSorted()).toEqual(["audit", "auditMinutes"]);
  });

  test("while the audit's server does not answer, trade and records continue; then it gets everything, and so does the log", async () => {
    link.cut();
    expect((await trade()).every(({ ok }) => ok)).toBe(true);
    await accept(2);
    await until("the signal is recorded", async () => (await holdings(0))["signals"] === 2);
    const stored = (await holdings(1))["audit"];
    link.mend();
    await until("it has the rest", async () => (await holdings(1))["audit"] !== stored, 30_000);
    const sums = sumEvents(await auditEvents(store, desk.client));
    const books = await readBooks(desk.client, USERS);
    expect(books.map((each) => each?.balanceCents)).toEqual(USERS.map((user) => sums.get(user)!));
    const log = await until("the desk reads it again", async () => {
      const headers = { authorization: `Bearer ${desk.token}` };
      const reply = await fetch(`${desk.servers[0]!.url}/v1/desk/log?user=bob`, { headers });
      const text = await reply.text().catch(() => "");
      return text.endsWith("</log>\n") && text;
    });
    expect(log.match(/<userCommand>/g)).toHaveLength(6);
  });

  test("accounts are rebuilt from the audit's server alone", async () => {
    const books = await readBooks(desk.client, USERS);
    await until("all is drained", async () => {
      const sums = sumEvents(await auditEvents(store, { ...desk.client, send: nothingStreamed }));
      return USERS.every((user, nth) => sums.get(user) === books[nth]?.balanceCents);
    });
    await desk.client.send("FLUSHALL", []);
    const { code } = await runCommand(["workers/commands/main.ts", "desk:restore"], desk.env);
    expect(code).toBe(0);
    expect(await readBooks(desk.client, USERS)).toEqual(books);
  });
});

/** A Redis with empty streams: then everything is read from the store. */
async function nothingStreamed(): Promise<unknown> {
  return [];
}

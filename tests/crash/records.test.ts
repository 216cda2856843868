/**
 * MongoDB is cut off for ten seconds in the middle of trading: orders are sent as usual, and the
 * records catch up.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { SignalId } from "../../domain/ids.ts";
import { openRecords } from "../../workers/records/open.ts";
import { startCopier, type Copier } from "../support/copier.ts";
import { startLink, type CuttableLink } from "../support/cut.ts";
import { startDesk, type TestDesk } from "../support/desk.ts";
import { startMongo, type TestMongo } from "../support/mongo.ts";
import { startRole, type RoleProcess } from "../support/role.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(60_000);

const FOLLOWERS = 200;
const CUT_MS = 10_000;

const mongo: TestMongo | undefined = await startMongo();
let desk: TestDesk;
let link: CuttableLink;
let copier: Copier;
let roles: RoleProcess[] = [];

describe.skipIf(mongo === undefined)("MongoDB cut off for ten seconds", () => {
  beforeAll(async () => {
    if (!mongo) return;
    desk = await startDesk();
    link = await startLink(mongo.port);
    copier = await startCopier(desk, FOLLOWERS);
    const uri = new URL(mongo.uri);
    uri.hostname = "127.0.0.1";
    uri.port = String(link.port);
    // A replica set would report its members' own addresses, and bypass the proxy.
    uri.searchParams.set("directConnection", "true");
    uri.searchParams.delete("replicaSet");
    roles = [
      await startRole("broker", desk.env),
      await startRole("recorder", { ...desk.env, MONGODB_URI: uri.href }),
    ];
  });
  afterAll(async () => {
    link.mend();
    await Promise.all(roles.map((role) => role.stop()));
    copier.stop();
    await link.stop();
    await desk.stop();
    await mongo?.stop();
  });

  test("trading continues, and afterwards every order and settlement is recorded once", async () => {
    const records = await openRecords({ MONGODB_URI: mongo?.uri ?? "", FANFARE_DATA: "" });
    /** How many of a signal's orders are recorded, grouped by `field`. */
    const tally = async (
      id: SignalId,
      field: "outcome" | "settlement",
    ): Promise<Record<string, number>> => {
      const groups = await records.orders.group({ where: { signal: id }, by: [field] });
      return Object.fromEntries(groups.map(({ key, count }) => [String(key[field]), count]));
    };
    const recorded = async (id: SignalId): Promise<boolean> =>
      (await tally(id, "outcome"))["placed"] === FOLLOWERS;
    const placed = async (id: SignalId): Promise<boolean> =>
      (await copier.progress(id)).counts.placed === FOLLOWERS;

    const before = await copier.send({ durationSeconds: 1 });
    await until("the first is recorded", () => recorded(before));

    link.cut();
    const cutAt = Date.now();
    const during: SignalId[] = [];
    while (Date.now() - cutAt < CUT_MS) {
      const id = await copier.send({ durationSeconds: 1 });
      during.push(id);
      await until("all are placed while the records are away", () => placed(id), 2_000);
      await Bun.sleep(1_000);
    }
    expect(await recorded(during[0] ?? before)).toBe(false);

    link.mend();
    for (const id of during) {
      await until("it is recorded", () => recorded(id), 20_000);
      await until("it is recorded as settled", async () => {
        const { won = 0, lost = 0 } = await tally(id, "settlement");
        return won + lost === FOLLOWERS;
      });
      await until("the signal is recorded too", async () => {
        const signal = await records.signals.get(id);
        return signal?.followers === FOLLOWERS;
      });
    }
    await records.close();
  });
});

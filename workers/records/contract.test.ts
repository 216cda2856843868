/** The port's promises, tested on both drivers. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { asId, type AccountId, type ChannelId, type PersonId } from "../../domain/ids.ts";
import { recordsDrivers } from "../../tests/support/records.ts";
import type {
  OrderRecord,
  Query,
  Records,
  SettingsRecord,
  StopRecord,
  SubscriptionRecord,
} from "./port.ts";

describe.each(await recordsDrivers())("records on $name", ({ open }) => {
  let records: Records;
  /** A second opening acts as a second process. */
  let other: Records;
  beforeAll(async () => {
    [records, other] = await Promise.all([open(), open()]);
  });
  afterAll(async () => {
    await Promise.all([records.close(), other.close()]);
  });

  test("an insert takes a new id once and a unique value once", async () => {
    expect(await records.people.insert({ _id: "p1", name: "One", email: "a@b.example" })).toBe(
      true,
    );
    expect(await other.people.insert({ _id: "p1", name: "Other" })).toBe(false);
    expect(await other.people.insert({ _id: "p2", name: "Two", email: "a@b.example" })).toBe(false);
    expect(await records.people.insert({ _id: "p3", name: "No e-mail" })).toBe(true);
    expect(await records.people.insert({ _id: "p4", name: "No e-mail" })).toBe(true);
    expect(await other.people.get("p1")).toEqual({ _id: "p1", name: "One", email: "a@b.example" });
    expect(await records.people.get("missing")).toBeUndefined();
    expect(await records.people.find({ where: { email: "a@b.example" } })).toHaveLength(1);
  });

  test("an older version never overwrites a newer, and taken ones are counted", async () => {
    const at = (version: number) => subscription("v1", { version, expiresAtMs: version });
    expect(await records.subscriptions.putNewer([at(2), subscription("v2")])).toBe(2);
    expect(await other.subscriptions.putNewer([at(1), at(2), subscription("v3")])).toBe(1);
    expect(await other.subscriptions.putNewer([at(3)])).toBe(1);
    expect(await records.subscriptions.get("v1")).toEqual(at(3));
  });

  test("of many writers of the same next version exactly one is taken", async () => {
    const taken = await Promise.all(
      Array.from({ length: 16 }, (_, writer) =>
        [records, other][writer % 2]!.subscriptions.putNewer([
          subscription("race", { version: 1, expiresAtMs: writer }),
        ]),
      ),
    );
    expect(taken.reduce((sum, each) => sum + each)).toBe(1);
  });

  test("of many first versions at once, the highest stays", async () => {
    await Promise.all(
      Array.from({ length: 16 }, (_, version) =>
        [records, other][version % 2]!.subscriptions.putNewer([
          subscription("highest", { version: version + 1 }),
        ]),
      ),
    );
    expect((await records.subscriptions.get("highest"))?.version).toBe(16);
  });

  test("a whole value is replaced with a newer version, without leftovers", async () => {
    const capped = subscription("plan", {
      plan: { sizing: { kind: "fixed", stakeCents: 100 }, maxStakeCents: 50, symbols: ["R_100"] },
    });
    await records.subscriptions.putNewer([capped]);
    await records.subscriptions.putNewer([subscription("plan", { version: 2 })]);
    expect(await other.subscriptions.get("plan")).toEqual(subscription("plan", { version: 2 }));
  });

  test("settings of a scope are stored whole, found while they wait, and marked only at their version", async () => {
    const at = (version: number, plan: SettingsRecord["plan"]): SettingsRecord => ({
      _id: "channel:c",
      plan,
      paused: version > 1,
      version,
      outbox: true,
    });
    const first = at(1, { maxStakeCents: 5, symbolMap: { "EUR/USD": "EURUSD" } });
    expect(await records.settings.putNewer([first])).toBe(1);
    const second = at(2, { symbols: [], overriding: ["symbols", "reverse"] });
    expect(await other.settings.putNewer([second])).toBe(1);
    expect(await records.settings.putNewer([first])).toBe(0);
    await records.settings.mergeAtVersion([{ _id: "channel:c", version: 1, outbox: false }]);
    expect(await other.settings.find({ where: { outbox: true } })).toEqual([second]);
    await records.settings.mergeAtVersion([{ _id: "channel:c", version: 2, outbox: false }]);
    expect(await other.settings.find({ where: { outbox: true } })).toEqual([]);
    expect(await other.settings.get("channel:c")).toEqual({ ...second, outbox: false });
  });

  test("stops of a scope are replaced by a newer version, and listed by their state and whose they are", async () => {
    const stop = (scope: string, state: StopRecord["state"], version = 1): StopRecord => ({
      _id: scope,
      state,
      atMs: 5,
      liftedAtMs: 0,
      by: "alice",
      owner: "*",
      why: "a reason",
      follower: scope.startsWith("follower:") ? scope.slice(9) : "",
      version,
    });
    const all = [stop("platform", "halt"), stop("channel:c", "drain"), stop("follower:p", "halt")];
    expect(await records.stops.putNewer([...all, stop("follower:q", "halt")])).toBe(4);
    expect(await other.stops.putNewer([stop("platform", "open")])).toBe(0);
    expect(await other.stops.putNewer([stop("platform", "open", 2)])).toBe(1);
    const where = { state: ["halt", "drain"], follower: ["", "p"] };
    expect(await records.stops.find({ where })).toEqual([all[1]!, all[2]!]);
    const held: string[] = [];
    for await (const { _id } of records.stops.each({ state: ["halt", "drain"] })) held.push(_id);
    expect(held).toEqual(["channel:c", "follower:p", "follower:q"]);
  });

  test("merges of different fields end the same in either order, and again", async () => {
    const placed = order("m", "one", { outcome: "placed", stakeCents: 500 });
    const settled = { settlement: "won", returnCents: 925, closePriceMicros: null };
    await records.orders.merge([placed]);
    await records.orders.merge([{ _id: placed._id, ...settled }]);
    const second = { ...placed, _id: "m.two" };
    await records.orders.merge([{ _id: "m.two", ...settled }]);
    await records.orders.merge([second]);
    await records.orders.merge([second]);
    expect(await records.orders.get("m.one")).toEqual({ ...placed, ...settled });
    expect(await records.orders.get("m.two")).toEqual({ ...second, ...settled });
  });

  test("a merge where absent never overwrites, but fills in what has no such field", async () => {
    const unknown = (id: string) => order("a", id, { outcome: "unknown", stakeCents: 500 });
    await records.orders.merge([
      order("a", "placed", { outcome: "placed", openPriceMicros: 7 }),
      { _id: "a.settled", settlement: "won" },
    ]);
    await other.orders.mergeWhereAbsent("outcome", ["placed", "settled", "new"].map(unknown));
    await other.orders.mergeWhereAbsent("outcome", [unknown("new")]);
    expect(await records.orders.get("a.placed")).toMatchObject({ outcome: "placed" });
    expect(await records.orders.get("a.placed")).not.toHaveProperty("stakeCents");
    expect(await records.orders.get("a.settled")).toMatchObject({
      outcome: "unknown",
      settlement: "won",
    });
    expect(await records.orders.get("a.new")).toMatchObject({ outcome: "unknown" });
  });

  test("a merge at a version changes only that version, and creates nothing", async () => {
    await records.subscriptions.putNewer([subscription("o1", { version: 4, outbox: true })]);
    await records.subscriptions.mergeAtVersion([
      { _id: "o1", version: 3, outbox: false },
      { _id: "o2", version: 1, outbox: false },
    ]);
    expect((await records.subscriptions.get("o1"))?.outbox).toBe(true);
    await records.subscriptions.mergeAtVersion([{ _id: "o1", version: 4, outbox: false }]);
    expect((await records.subscriptions.get("o1"))?.outbox).toBe(false);
    expect(await records.subscriptions.get("o2")).toBeUndefined();
  });

  test("finds by equality and by lists, sorted and limited", async () => {
    const channel = asId<ChannelId>("find");
    await records.subscriptions.putNewer(
      [3, 1, 2].map((n) =>
        subscription(`f${n}`, { channel, expiresAtMs: n, outbox: n === 2, version: n }),
      ),
    );
    const ids = async (...query: Parameters<Records["subscriptions"]["find"]>) =>
      (await records.subscriptions.find(...query)).map(({ _id }) => _id);
    expect(await ids({ where: { channel } })).toEqual(["f1", "f2", "f3"]);
    expect(await ids({ where: { channel, outbox: true } })).toEqual(["f2"]);
    expect(await ids({ where: { _id: ["f3", "f1", "none"] } })).toEqual(["f1", "f3"]);
    expect(await ids({ where: { channel, _id: [] } })).toEqual([]);
    expect(
      await ids({ where: { channel }, sort: { field: "version", descending: true }, limit: 2 }),
    ).toEqual(["f3", "f2"]);
  });

  test("finds page by page in either order, also where values are equal", async () => {
    const channel = asId<ChannelId>("pages");
    const expiries = [5, 3, 5, 1, 5, 3, 9];
    await records.subscriptions.putNewer(
      expiries.map((expiresAtMs, n) => subscription(`page-${n}`, { channel, expiresAtMs })),
    );
    const pages = async (sort?: Query["sort"]): Promise<string[][]> => {
      const found: string[][] = [];
      let after: Query["after"];
      for (;;) {
        const query = { where: { channel }, limit: 3, after, ...(sort ? { sort } : {}) };
        const page = await other.subscriptions.find(query);
        found.push(page.map(({ _id }) => _id.slice(5)));
        const last = page.at(-1);
        if (page.length < 3 || !last) return found;
        after = { id: last._id, ...(sort ? { value: last.expiresAtMs } : {}) };
      }
    };
    expect(await pages()).toEqual([["0", "1", "2"], ["3", "4", "5"], ["6"]]);
    expect(await pages({ field: "expiresAtMs" })).toEqual([
      ["3", "1", "5"],
      ["0", "2", "4"],
      ["6"],
    ]);
    expect(await pages({ field: "expiresAtMs", descending: true })).toEqual([
      ["6", "4", "2"],
      ["0", "5", "1"],
      ["3"],
    ]);
  });

  test("reads thousands in order of id, each once", async () => {
    const channel = asId<ChannelId>("walk");
    const ids = Array.from({ length: 2_500 }, (_, n) => `w${String(n).padStart(4, "0")}`);
    await records.subscriptions.putNewer(
      ids.toReversed().map((id) => subscription(id, { channel })),
    );
    const walked: string[] = [];
    for await (const { _id } of records.subscriptions.each({ channel })) walked.push(_id);
    expect(walked).toEqual(ids);
  });

  test("groups with counts, sums, minimum and maximum", async () => {
    await records.orders.merge([
      order("g", "1", { outcome: "placed", stakeCents: 100, answeredAtMs: 12, settlement: "won" }),
      order("g", "2", { outcome: "placed", stakeCents: 250, answeredAtMs: 9 }),
      order("g", "3", { outcome: "placed", stakeCents: 300, answeredAtMs: 15 }),
      order("g", "4", { outcome: "skipped" }),
    ]);
    const groups = await records.orders.group({
      where: { signal: "g" },
      by: ["outcome", "settlement"],
      sum: ["stakeCents"],
      bounds: ["answeredAtMs"],
    });
    expect(groups).toHaveLength(3);
    for (const expected of [
      {
        key: { outcome: "placed", settlement: "won" },
        count: 1,
        sums: { stakeCents: 100 },
        bounds: { answeredAtMs: { min: 12, max: 12 } },
      },
      {
        key: { outcome: "placed", settlement: null },
        count: 2,
        sums: { stakeCents: 550 },
        bounds: { answeredAtMs: { min: 9, max: 15 } },
      },
      {
        key: { outcome: "skipped", settlement: null },
        count: 1,
        sums: { stakeCents: 0 },
        bounds: { answeredAtMs: null },
      },
    ]) {
      expect(groups).toContainEqual(expected);
    }
    expect(await records.orders.group({ where: { signal: "none" }, by: [] })).toEqual([]);
  });

  test("stores ten thousand orders at once, and again without duplicates", async () => {
    const orders = Array.from({ length: 10_000 }, (_, n) =>
      order("bulk", String(n), { outcome: "placed", stakeCents: 1_000_000_000_000 }),
    );
    await records.orders.merge(orders);
    await other.orders.merge(orders);
    const [all] = await records.orders.group({
      where: { signal: "bulk" },
      by: [],
      sum: ["stakeCents"],
    });
    expect(all).toMatchObject({ count: 10_000, sums: { stakeCents: 1e16 } });
  });
});

function subscription(id: string, parts: Partial<SubscriptionRecord> = {}): SubscriptionRecord {
  return {
    _id: id,
    channel: asId<ChannelId>("c"),
    follower: asId<PersonId>("p"),
    account: asId<AccountId>("acct"),
    broker: "desk",
    region: "local",
    state: "active",
    expiresAtMs: 1,
    plan: { sizing: { kind: "fixed", stakeCents: 100 } },
    version: 1,
    outbox: true,
    ...parts,
  };
}

function order(signal: string, subscription: string, parts: Partial<OrderRecord>): OrderRecord {
  return {
    _id: `${signal}.${subscription}`,
    signal,
    subscription,
    account: "acct",
    broker: "desk",
    outcome: "placed",
    acceptedAtMs: 1,
    dispatchedAtMs: 2,
    decidedAtMs: 3,
    recordedAtMs: 4,
    ...parts,
  };
}

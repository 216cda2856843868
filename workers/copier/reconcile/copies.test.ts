import { describe, expect, test } from "bun:test";
import { clientOrderId, type AccountId, type SubscriptionId } from "../../../domain/ids.ts";
import { signalIdOf } from "../../../tests/support/signals.ts";
import type { BookedOrder } from "../brokers/port.ts";
import { compareCopies, type ShardPicture, type SignalPicture, type Told } from "./copies.ts";

const SIGNAL = signalIdOf(1);
const ids = (...names: string[]) => names as unknown as readonly SubscriptionId[];

const placed = (name: string): Told => ({
  kind: "placed",
  account: `${name}-acct`,
  stakeCents: 100,
});
const SKIPPED: Told = { kind: "skipped" };
const UNKNOWN: Told = { kind: "unknown" };

const booked = (name: string, changes: Partial<BookedOrder> = {}): BookedOrder => ({
  clientOrderId: clientOrderId(SIGNAL, name as SubscriptionId),
  account: `${name}-acct` as AccountId,
  stakeCents: 100,
  openedAtMs: 1_500,
  ...changes,
});

const SHARD: ShardPicture = {
  broker: "desk",
  shard: 0,
  enqueued: true,
  reported: true,
  intended: ids("ann", "bob", "carl"),
  members: ids("ann", "bob", "carl"),
};

/** Two placed copies and one skipped copy, on which all sources agree. */
const GOOD: SignalPicture = {
  id: SIGNAL,
  channel: "demo",
  acceptedAtMs: 1_000,
  deadlineMs: 2_000,
  followers: 3,
  shards: [SHARD],
  counted: 3,
  events: new Map([
    ["ann", [placed("ann")]],
    ["bob", [UNKNOWN, placed("bob")]],
    ["carl", [SKIPPED]],
  ]),
  records: new Map(),
  booked: new Map([["desk", [booked("ann"), booked("bob")]]]),
};

const compare = (changes: Partial<SignalPicture>, unknownBeforeMs = 0) =>
  compareCopies({ ...GOOD, ...changes }, unknownBeforeMs).map(({ kind, subscription }) =>
    subscription === undefined ? kind : `${kind} ${subscription}`,
  );

const shard = (changes: Partial<ShardPicture>) => ({ shards: [{ ...SHARD, ...changes }] });
const events = (changes: Readonly<Record<string, readonly Told[]>>) => ({
  events: new Map([...GOOD.events, ...Object.entries(changes)]),
});
const books = (...orders: BookedOrder[]) => ({ booked: new Map([["desk", orders]]) });

describe("there is no difference if", () => {
  test("all sources agree", () => {
    expect(compare({})).toEqual([]);
  });

  test("events are forgotten and the records have them", () => {
    const records = new Map([
      ["ann", placed("ann")],
      ["bob", placed("bob")],
      ["carl", SKIPPED],
    ] as const);
    expect(compare({ events: new Map(), records, counted: undefined })).toEqual([]);
  });

  test("the records still lag behind with an unknown", () => {
    expect(compare({ records: new Map([["bob", UNKNOWN]]) })).toEqual([]);
  });

  test("only the records are left, and they have an outcome for each follower", () => {
    const records = new Map([
      ["ann", placed("ann")],
      ["bob", placed("bob")],
      ["carl", SKIPPED],
    ] as const);
    expect(compare({ shards: undefined, events: new Map(), records, counted: undefined })).toEqual(
      [],
    );
  });
});

describe("a difference has a name, and names the follower", () => {
  test.each([
    ["JOB_MISSING", shard({ enqueued: false })],
    ["SNAPSHOT_DIFFERS", shard({ members: undefined })],
    ["OUTCOME_OF_NOBODY carl", shard({ members: ids("ann", "bob") })],
    ["OUTCOME_NOT_INTENDED carl", shard({ intended: ids("ann", "bob") })],
    ["OUTCOME_TWICE ann", events({ ann: [placed("ann"), { kind: "rejected" }] })],
    ["OUTCOME_TWICE", { counted: 4 }],
    ["ORDER_TWICE ann", books(booked("ann"), booked("ann"), booked("bob"))],
    ["ORDER_LATE bob", books(booked("ann"), booked("bob", { openedAtMs: 2_001 }))],
    ["ORDER_DIFFERS bob", books(booked("ann"), booked("bob", { stakeCents: 101 }))],
    ["ORDER_DIFFERS bob", books(booked("ann"), booked("bob", { account: "x" as AccountId }))],
    ["PLACED_NOT_AT_BROKER bob", books(booked("ann"))],
    ["AT_BROKER_NOT_PLACED carl", books(booked("ann"), booked("bob"), booked("carl"))],
    ["BROKER_SILENT", { booked: new Map([["desk", undefined]]) }],
  ] as const)("%s", (difference, changes) => {
    expect(compare(changes)).toEqual([difference]);
  });

  test("a follower without an outcome, and an order of one at the broker", () => {
    const without = new Map([...GOOD.events].filter(([name]) => name !== "bob"));
    expect(compare({ events: without }).toSorted()).toEqual([
      "AT_BROKER_NOT_PLACED bob",
      "OUTCOME_MISSING bob",
    ]);
  });

  test("an outcome that is reported as one kind and recorded as another", () => {
    const records = new Map<string, Told>([["ann", SKIPPED]]);
    expect(compare({ records })).toContain("OUTCOME_TWICE ann");
  });

  test("an order exactly at the deadline is in time", () => {
    expect(compare(books(booked("ann"), booked("bob", { openedAtMs: 2_000 })))).toEqual([]);
  });

  test("an unknown outcome is a difference only after a while, whether the broker has the order or not", () => {
    const unknown = { ...events({ bob: [UNKNOWN] }), acceptedAtMs: 1_000 };
    expect(compare(unknown, 999)).toEqual([]);
    expect(compare(unknown, 1_000)).toEqual(["UNKNOWN_TOO_LONG bob"]);
  });

  test("if one broker is silent, no order is said to be on no list", () => {
    const silent = new Map<string, readonly BookedOrder[] | undefined>([
      ["desk", [booked("ann")]],
      ["fake", undefined],
    ]);
    expect(compare({ booked: silent })).toEqual(["BROKER_SILENT"]);
  });
});

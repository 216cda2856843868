/** An account cannot follow a channel twice, on both drivers. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { asId, type AccountId, type ChannelId, type PersonId } from "../../domain/ids.ts";
import { recordsDrivers } from "../../tests/support/records.ts";
import { fillLiveKeys, deriveLiveKey } from "./live-key.ts";
import type { Records, SubscriptionRecord } from "./port.ts";

setDefaultTimeout(30_000);

describe.each(await recordsDrivers())("subscriptions on $name", ({ open }) => {
  let records: Records;
  let other: Records;
  beforeAll(async () => {
    [records, other] = await Promise.all([open(), open()]);
  });
  afterAll(async () => {
    await Promise.all([records.close(), other.close()]);
  });

  test("of many subscriptions that become live at once for one account, one is stored", async () => {
    const taken = await Promise.all(
      Array.from({ length: 12 }, (_, n) =>
        [records, other][n % 2]!.subscriptions.putNewer([keyed(`race-${n}`, "race")]),
      ),
    );
    expect(taken.reduce((sum, each) => sum + each)).toBe(1);
    const [winner] = await records.subscriptions.find({ where: { account: "race" } });
    expect(await other.subscriptions.putNewer([keyed("race-left", "race", "left")])).toBe(1);
    // The value is free once the subscription was left, also for one that was refused before.
    const left = { ...keyed(winner!._id, "race", "left"), version: 2 };
    expect(await records.subscriptions.putNewer([left, keyed("race-next", "race")])).toBe(2);
    expect(await records.subscriptions.putNewer([{ ...left, version: 3, ...LIVE }])).toBe(0);
    expect((await records.subscriptions.get(winner!._id))?.version).toBe(2);
  });

  test("subscriptions of old records get the value, and if an account has two the first stays", async () => {
    await records.subscriptions.putNewer([
      record("old-1", "alone"),
      record("old-2", "twice", "paused"),
      record("old-3", "twice"),
      record("old-4", "twice"),
      record("old-5", "gone", "left"),
      record("old-6", "newer"),
      keyed("sub_newer", "newer"),
    ]);
    expect(await fillLiveKeys(records)).toBe(3);
    expect(await fillLiveKeys(other)).toBe(0);
    const found = await other.subscriptions.find({
      where: { account: ["alone", "twice", "gone", "newer"] },
    });
    const ended = { state: "left", version: 2, outbox: true } as const;
    expect(
      found.map(({ _id, state, version, outbox, liveKey }) => ({
        _id,
        state,
        version,
        outbox,
        ...(liveKey === undefined ? {} : { liveKey }),
      })),
    ).toEqual([
      { _id: "old-1", state: "active", version: 1, outbox: false, liveKey: "alone/c" },
      { _id: "old-2", ...ended },
      { _id: "old-3", state: "active", version: 1, outbox: false, liveKey: "twice/c" },
      { _id: "old-4", ...ended },
      { _id: "old-5", state: "left", version: 1, outbox: false },
      { _id: "old-6", ...ended },
      { _id: "sub_newer", state: "active", version: 1, outbox: false, liveKey: "newer/c" },
    ]);
  });
});

const LIVE = { state: "active", liveKey: "race/c" } as const;

function keyed(
  id: string,
  account: string,
  state: SubscriptionRecord["state"] = "active",
): SubscriptionRecord {
  const plain = record(id, account, state);
  return { ...plain, ...deriveLiveKey(plain) };
}

/** A subscription as it was recorded before live keys existed. */
function record(
  id: string,
  account: string,
  state: SubscriptionRecord["state"] = "active",
): SubscriptionRecord {
  return {
    _id: id,
    channel: asId<ChannelId>("c"),
    follower: asId<PersonId>("p"),
    account: asId<AccountId>(account),
    broker: "desk",
    region: "local",
    state,
    expiresAtMs: 1,
    plan: { sizing: { kind: "fixed", stakeCents: 100 } },
    version: 1,
    outbox: false,
  };
}

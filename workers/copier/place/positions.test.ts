import { describe, expect, test } from "bun:test";
import type { AccountId, SubscriptionId } from "../../../domain/ids.ts";
import type { CloseJob } from "../../../redis/close-job.ts";
import { memberOf } from "../../../tests/support/members.ts";
import { acceptedOpen, signalIdOf } from "../../../tests/support/signals.ts";
import type { Intents } from "../stored/intents.ts";
import { positionsOf, type Position } from "./positions.ts";

const OF = acceptedOpen();
const { channel, provider } = OF;
const JOB: CloseJob = {
  close: { id: signalIdOf(1), channel, provider, acceptedAtMs: 1 },
  of: OF,
  broker: "desk",
  shard: 0,
  version: 7,
  count: 3,
  dispatchedAtMs: 1,
  notBeforeMs: 0,
  tries: 0,
};
const INTENTS: Intents = {
  decidedAtMs: 1,
  orders: [
    ["ann" as SubscriptionId, "ann-acct" as AccountId, 150, { symbol: "EURUSD" }],
    ["bob" as SubscriptionId, "bob-acct" as AccountId, 200],
  ],
  skips: [["carl" as SubscriptionId, "carl-acct" as AccountId, "PAUSED"]],
};
const MEMBERS = [
  memberOf("ann"),
  memberOf("bob"),
  memberOf("carl"),
  memberOf("dora", { turns: [8] }),
];

const only = (...names: string[]): NonNullable<CloseJob["only"]> =>
  names.map((name) => [name as SubscriptionId, `${name}-acct` as AccountId]);

const found = (...args: Parameters<typeof positionsOf>): Record<string, Position> =>
  Object.fromEntries(positionsOf(...args));

describe("a job may have to close", () => {
  test("the intents, with their stakes and the broker's names", () => {
    const { ann, bob } = found(JOB, INTENTS, MEMBERS);
    expect(ann).toMatchObject({ stakeCents: 150, symbol: "EURUSD", isNever: false });
    expect(bob).toMatchObject({ stakeCents: 200, symbol: "EUR/USD", account: "bob-acct" as never });
    expect(String(ann?.clientOrderId)).toBe(`${OF.id}.ann`);
    expect(String(bob?.follower)).toBe("bob-person");
  });

  test("nothing of skipped copies: certainly nothing was sent", () => {
    expect(found(JOB, INTENTS, MEMBERS)["carl"]).toMatchObject({ isNever: true });
  });

  test("every member of the snapshot if the intents are lost, because their orders may have been sent", () => {
    const positions = found(JOB, undefined, MEMBERS);
    expect(Object.keys(positions)).toEqual(["ann", "bob", "carl"]);
    for (const position of Object.values(positions)) expect(position.isNever).toBe(false);
  });

  test("the intents if the roster is lost, without the followers' names", () => {
    const { ann, ...rest } = found(JOB, INTENTS, []);
    expect(ann).toMatchObject({ stakeCents: 150, follower: undefined });
    expect(Object.keys(rest).toSorted()).toEqual(["bob", "carl"]);
  });

  test("if the intents are lost, also members that were written again after a loss, up to the count at that time", () => {
    const left = MEMBERS.filter(({ subscription }) => String(subscription) !== "ann");
    expect(Object.keys(found(JOB, undefined, left)).toSorted()).toEqual(["bob", "carl", "dora"]);
    expect(Object.keys(found({ ...JOB, count: 2 }, undefined, left)).toSorted()).toEqual([
      "bob",
      "carl",
    ]);
  });

  test("nothing if no route led here", () => {
    expect(found({ ...JOB, count: 0 }, INTENTS, MEMBERS)).toEqual({});
  });

  test("only the copies that it names; one that is not known here was certainly never sent", () => {
    const positions = found({ ...JOB, only: only("bob", "zoe") }, INTENTS, MEMBERS);
    expect(Object.keys(positions)).toEqual(["bob", "zoe"]);
    expect(positions["bob"]).toMatchObject({ stakeCents: 200, isNever: false });
    expect(positions["zoe"]).toMatchObject({ isNever: true, account: "zoe-acct" as never });
  });
});

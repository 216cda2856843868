import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { LEAST_CAPABLE, type Capabilities, type OrderBatch } from "../brokers/port.ts";
import {
  asId,
  clientOrderId,
  signalIdIn,
  type AccountId,
  type SubscriptionId,
} from "../../../domain/ids.ts";
import {
  isOverlooked,
  startFakeBroker,
  type FakeBroker,
  type Faults,
} from "../../../tests/support/fake-broker.ts";
import { signalIdOf } from "../../../tests/support/signals.ts";
import { SYSTEM_CLOCK } from "../../runtime/clock.ts";
import { isRepeatable, lastWordAtMs, place, type History } from "./place.ts";

const DEADLINE = 1_000_000;
const subscription = asId<SubscriptionId>("sub");
const batch: OrderBatch = {
  symbol: "EUR/USD",
  contract: "CALL",
  shard: 0,
  durationSeconds: 60,
  validUntilMs: DEADLINE,
  orders: [
    {
      clientOrderId: clientOrderId(signalIdIn(0, "0".repeat(32)), subscription),
      subscription,
      account: asId<AccountId>("acct"),
      stakeCents: 100,
    },
  ],
};
const capable = (changes: Partial<Capabilities>): Capabilities => ({
  ...LEAST_CAPABLE,
  ...changes,
});

describe("sending a batch again (P2)", () => {
  test("is never done where ids are not known, and always where they are for good", () => {
    expect(isRepeatable(capable({ validUntil: "enforced" }), batch, DEADLINE - 1_000)).toBe(false);
    expect(isRepeatable(capable({ deduplicates: "account" }), batch, 0)).toBe(true);
  });

  test("is done where ids are forgotten only if what arrives later is refused for being late", () => {
    const open = (validUntil: Capabilities["validUntil"], decidedAtMs: number, seconds: number) =>
      isRepeatable(
        capable({ deduplicates: "open-orders", validUntil }),
        { ...batch, durationSeconds: seconds },
        decidedAtMs,
      );
    expect(open("enforced", DEADLINE - 1_000, 60)).toBe(true);
    expect(open("enforced", DEADLINE - 1_000, 1)).toBe(false);
    expect(open("ignored", DEADLINE - 1_000, 60)).toBe(false);
    const minutes = capable({ deduplicates: "ten-minutes", validUntil: "enforced" });
    expect(isRepeatable(minutes, batch, DEADLINE - 1_000)).toBe(true);
    expect(isRepeatable(minutes, batch, DEADLINE - 600_000)).toBe(false);
  });
});

describe("an order that is not found", () => {
  test("is skipped for good only once nothing of ours can be in flight any more", () => {
    const sure = capable({ lookUp: "authoritative", inFlightMs: 5_000 });
    expect(lastWordAtMs(sure, batch)).toBe(DEADLINE + 5_000 + 1_000);
  });

  test("stays unknown where a look-up proves nothing by silence", () => {
    expect(lastWordAtMs(capable({}), batch)).toBe(Infinity);
  });
});

describe("the orders of a batch, at a broker over a network", () => {
  const KINDS = {
    knowsIds: { deduplicates: "account", lookUp: "authoritative", validUntil: "enforced" },
    knowsNone: { deduplicates: "none", lookUp: "authoritative", validUntil: "enforced" },
    hints: { deduplicates: "none", lookUp: "hint", validUntil: "enforced" },
  } as const;
  type Kind = keyof typeof KINDS;

  let brokers: Record<Kind, FakeBroker>;
  let signals = 0;
  beforeAll(async () => {
    const [knowsIds, knowsNone, hints] = await Promise.all(
      [KINDS.knowsIds, KINDS.knowsNone, KINDS.hints].map((kind) => startFakeBroker(kind)),
    );
    if (!knowsIds || !knowsNone || !hints) throw new Error("a broker did not start");
    brokers = { knowsIds, knowsNone, hints };
    for (const each of Object.values(brokers)) await each.deposit(["acct"], 1_000_000);
  });
  afterAll(async () => {
    await Promise.all(Object.values(brokers).map((each) => each.stop()));
  });
  beforeEach(async () => {
    await Promise.all(Object.values(brokers).map((each) => each.misbehave({})));
  });

  interface How extends Partial<History> {
    readonly faults?: Partial<Faults>;
    /** How long there is to send. */
    readonly forMs?: number;
    /** Of the orders: only those whose look-up the broker overlooks, or does not. */
    readonly overlooked?: boolean;
  }

  /** Places one new order; answers how it ended, and how often it is on the broker's book. */
  async function send(kind: Kind, { faults = {}, forMs = 100, overlooked, ...history }: How = {}) {
    let id = clientOrderId(signalIdOf((signals += 1)), subscription);
    while (overlooked !== undefined && isOverlooked(id) !== overlooked) {
      id = clientOrderId(signalIdOf((signals += 1)), subscription);
    }
    const broker = brokers[kind];
    await broker.misbehave(faults);
    const decidedAtMs = Date.now();
    const order = {
      clientOrderId: id,
      subscription,
      account: asId<AccountId>("acct"),
      stakeCents: 100,
    };
    const sent: OrderBatch = { ...batch, validUntilMs: decidedAtMs + forMs, orders: [order] };
    const told = await place(
      broker.broker,
      sent,
      { decidedAtMs, maybeSent: false, ...history },
      SYSTEM_CLOCK,
    );
    const [outcome] = told.outcomes;
    const word = outcome && ("reason" in outcome ? outcome.reason : outcome.kind);
    const booked = broker.book().filter((line) => line.clientOrderId === id).length;
    return { word, booked, sentAtMs: told.sentAtMs };
  }

  test("are told as the broker answered", async () => {
    expect(await send("knowsNone")).toMatchObject({ word: "placed", booked: 1 });
  });

  test("are not sent after their deadline (P3)", async () => {
    expect(await send("knowsIds", { forMs: -1 })).toEqual({
      word: "TOO_LATE",
      booked: 0,
      sentAtMs: null,
    });
  });

  test("are sent again where nothing came of it, as long as the broker knows their ids", async () => {
    const half = { resetBefore: 0.5, resetAfter: 0.3 };
    for (let count = 0; count < 10; count += 1) {
      expect(await send("knowsIds", { faults: half, forMs: 2_000 })).toMatchObject({
        word: "placed",
        booked: 1,
      });
    }
  });

  test("are sent again after a broker was busy, as nothing was taken", async () => {
    const busy = { busy: 0.5, retryAfterMs: 5 };
    for (let count = 0; count < 5; count += 1) {
      expect(await send("knowsNone", { faults: busy, forMs: 2_000 })).toMatchObject({
        word: "placed",
        booked: 1,
      });
    }
  });

  test("are sent once where the broker would open them twice, and are asked about (P2)", async () => {
    expect(await send("knowsNone", { faults: { resetAfter: 1 } })).toMatchObject({
      word: "placed",
      booked: 1,
    });
    expect(await send("knowsNone", { faults: { resetBefore: 1 } })).toMatchObject({
      word: "TOO_LATE",
      booked: 0,
    });
  });

  test("that may have been sent are only asked about there", async () => {
    expect(await send("knowsNone", { maybeSent: true })).toMatchObject({
      word: "TOO_LATE",
      booked: 0,
      sentAtMs: null,
    });
    expect(await send("knowsIds", { maybeSent: true })).toMatchObject({ word: "placed" });
  });

  test("that must not be sent now are only asked about, whatever the broker can do", async () => {
    expect(await send("knowsIds", { maybeSent: true, askOnly: true })).toMatchObject({
      word: "TOO_LATE",
      booked: 0,
      sentAtMs: null,
    });
  });

  test("stay unknown where silence proves nothing, opened or not", async () => {
    const [opened, never] = await Promise.all([
      send("hints", { faults: { resetAfter: 1 }, overlooked: true }),
      send("knowsNone", { faults: { dead: true } }),
    ]);
    expect(opened).toMatchObject({ word: "unknown", booked: 1 });
    expect(never).toMatchObject({ word: "unknown", booked: 0 });
  });
});

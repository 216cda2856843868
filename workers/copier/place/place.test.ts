import { describe, expect, test } from "bun:test";
import { LEAST_CAPABLE, type Capabilities, type OrderBatch } from "../brokers/port.ts";
import {
  asId,
  clientOrderId,
  signalIdIn,
  type AccountId,
  type SubscriptionId,
} from "../../../domain/ids.ts";
import { isRepeatable, lastWordAtMs } from "./place.ts";

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

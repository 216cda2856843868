import { describe, expect, test } from "bun:test";
import { asId, signalIdIn, type ChannelId, type SubscriptionId } from "../ids.ts";
import {
  canonicalBody,
  openForMs,
  openUntilMs,
  type AcceptedOpen,
  type CloseSignal,
  type OpenSignal,
} from "./signal.ts";

const open: OpenSignal = {
  channel: asId<ChannelId>("demo"),
  symbol: "EUR/USD",
  contract: "CALL",
  stakeCents: 500,
  durationSeconds: 60,
};
const close: CloseSignal = { action: "close", channel: open.channel, symbol: "EUR/USD" };

/** The same fields in another order. */
const turned = <T extends object>(signal: T): T =>
  Object.fromEntries(Object.entries(signal).toReversed()) as T;

describe("a signal's body", () => {
  // Hashes of it are stored in records and with idempotency keys.
  test("is written as in every earlier release", () => {
    expect(canonicalBody(open)).toBe(
      '{"channel":"demo","contract":"CALL","durationSeconds":60,"stakeCents":500,"symbol":"EUR/USD"}',
    );
    expect(canonicalBody(close)).toBe('{"action":"close","channel":"demo","symbol":"EUR/USD"}');
  });

  test("is the same for any order of fields, and with or without the action of an open", () => {
    expect(canonicalBody(turned(open))).toBe(canonicalBody(open));
    expect(canonicalBody({ ...open, action: "open" })).toBe(canonicalBody(open));
    expect(canonicalBody(turned(close))).toBe(canonicalBody(close));
  });

  test("differs wherever an open differs", () => {
    const others: readonly Partial<OpenSignal>[] = [
      { channel: asId("other") },
      { symbol: "GBP/USD" },
      { contract: "PUT" },
      { stakeCents: 501 },
      { durationSeconds: 61 },
    ];
    const bodies = [{}, ...others].map((each) => canonicalBody({ ...open, ...each }));
    expect(new Set(bodies).size).toBe(bodies.length);
  });

  test("differs wherever a close differs", () => {
    const place = { region: "local", broker: "desk", partition: 0, shard: 0 };
    const copy = { subscription: asId<SubscriptionId>("sub"), account: asId("acct"), ...place };
    const others: readonly Partial<CloseSignal>[] = [
      { symbol: "GBP/USD" },
      { signal: signalIdIn(0, "0".repeat(32)) },
      { broker: "desk" },
      { copies: [copy as never] },
      { copies: [] },
    ];
    const bodies = [{}, ...others].map((each) => canonicalBody({ ...close, ...each }));
    expect(new Set(bodies).size).toBe(bodies.length);
  });
});

test("a signal may have open positions until its duration after its deadline has passed", () => {
  const deadlineMs = 1_000_000;
  const accepted = { ...open, deadlineMs } as AcceptedOpen;
  expect(openUntilMs(accepted)).toBeGreaterThan(deadlineMs + 60_000);
  expect(openUntilMs(accepted) - deadlineMs).toBe(openForMs(60));
  expect(openForMs(61) - openForMs(60)).toBe(1_000);
});

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { acceptedOpen } from "../../tests/support/signals.ts";
import type { CopyPlan } from "./plan.ts";
import type { Copy } from "./copy.ts";
import { decide, stopReason, type Facts, type Follower, type Stops } from "./decide.ts";
import { asId, type AccountId, type PersonId, type SubscriptionId } from "../ids.ts";
import { MAX_AMOUNT_CENTS } from "../money.ts";
import type { Outcome } from "./outcome.ts";
import { formatUsage, UsageModel } from "../../tests/support/usage-model.ts";
import { DAY_MS, type Usage } from "./caps.ts";

const NOW_MS = 20_000 * DAY_MS + 5_000;
const ACCOUNT = asId<AccountId>("acct");
const SUBSCRIPTION = asId<SubscriptionId>("sub");
const PERSON = asId<PersonId>("follower");

const signal = acceptedOpen({ acceptedAtMs: NOW_MS - 100, deadlineMs: NOW_MS + 900 });

const FIXED = { kind: "fixed", stakeCents: 100 } as const;

const follower = (plan: CopyPlan, changes: Partial<Follower> = {}) => ({
  follower: PERSON,
  subscription: SUBSCRIPTION,
  account: ACCOUNT,
  state: "active" as const,
  expiresAtMs: NOW_MS + 1,
  plan,
  ...changes,
});

const decided = (plan: CopyPlan, facts: Partial<Facts> = {}, changes: Partial<Follower> = {}) =>
  decide(signal, follower(plan, changes), { nowMs: NOW_MS, ...facts });

const reasonOf = ({ state, reason }: Copy): string =>
  state === "skipped" ? String(reason) : state;

const used = (changes: Partial<Usage>): ReadonlyMap<SubscriptionId, string> =>
  new Map([
    [
      SUBSCRIPTION,
      formatUsage({
        day: 2e4,
        stakedCents: 0,
        open: 0,
        lossCents: 0,
        revision: 7,
        ...changes,
      }),
    ],
  ]);

describe("sizing", () => {
  const stakeOf = (plan: CopyPlan, facts: Partial<Facts> = {}) => {
    const { state, stakeCents, reason } = decided(plan, facts);
    return state === "unsent" ? stakeCents : reason;
  };

  test("is fixed, a multiple of the provider's stake, or a share of the balance, rounded down", () => {
    expect(stakeOf({ sizing: FIXED })).toBe(100);
    expect(stakeOf({ sizing: { kind: "multiplier", multiplierBp: 15_001 } })).toBe(750);
    const balances = new Map([[ACCOUNT, 12_345]]);
    expect(stakeOf({ sizing: { kind: "balance", shareBp: 200 } }, { balances })).toBe(246);
  });

  test("is cut down to the cap of one order, and to what any order may be", () => {
    expect(stakeOf({ sizing: FIXED, maxStakeCents: 60 })).toBe(60);
    const huge = { kind: "multiplier", multiplierBp: 10_000_000 } as const;
    const provider = { ...signal, stakeCents: MAX_AMOUNT_CENTS };
    expect(decide(provider, follower({ sizing: huge }), { nowMs: NOW_MS })).toMatchObject({
      stakeCents: MAX_AMOUNT_CENTS,
    });
  });

  test("skips where nothing is left to stake or nothing says how much", () => {
    expect(stakeOf({ sizing: { kind: "multiplier", multiplierBp: 1 } })).toBe("STAKE_TOO_SMALL");
    expect(stakeOf({})).toBe("NOT_SIZED");
    expect(stakeOf({ sizing: { kind: "balance", shareBp: 200 } })).toBe("BALANCE_UNKNOWN");
  });
});

describe("skips", () => {
  const cases: readonly [string, CopyPlan, Partial<Facts>, Partial<Follower>][] = [
    ["LEFT", {}, {}, { state: "left" }],
    ["PAUSED", {}, {}, { state: "paused" }],
    ["PLATFORM_PAUSED", { pausedBy: "platform" }, {}, {}],
    ["PROVIDER_PAUSED", { pausedBy: "provider" }, {}, {}],
    ["CHANNEL_PAUSED", { pausedBy: "channel" }, {}, {}],
    ["FOLLOWER_PAUSED", { pausedBy: "follower" }, {}, {}],
    ["EXPIRED", {}, {}, { expiresAtMs: NOW_MS }],
    ["SYMBOL_NOT_ALLOWED", { symbols: ["GBP/USD"] }, {}, {}],
    ["SYMBOL_NOT_ALLOWED", { symbols: [] }, {}, {}],
    ["SYMBOL_DENIED", { symbols: ["EUR/USD"], deniedSymbols: ["EUR/USD"] }, {}, {}],
    ["TOO_LATE", {}, { nowMs: NOW_MS + 901 }, { expiresAtMs: NOW_MS * 2 }],
    ["TOO_OLD", { maxAgeMs: 99 }, {}, {}],
    // 0.16 % of a minute.
    ["TOO_OLD", { maxAgeShareBp: 16 }, {}, {}],
    ["PAYOUT_UNKNOWN", { minPayoutBp: 1 }, {}, {}],
    ["PAYOUT_TOO_LOW", { minPayoutBp: 8_501 }, { payoutsBp: new Map([["EUR/USD", 8_500]]) }, {}],
    ["DAY_LOSS", { maxDayLossCents: 50 }, { usages: used({ lossCents: 50 }) }, {}],
    ["OPEN_CAP", { maxOpen: 2 }, { usages: used({ open: 2 }) }, {}],
    ["ACCOUNT_BUSY", {}, { atCapacity: new Set([SUBSCRIPTION]) }, {}],
    ["DAY_CAP", { maxDayStakeCents: 299 }, { usages: used({ stakedCents: 200 }) }, {}],
    ["HALTED", {}, { stops: { all: "HALTED" } }, {}],
    ["DRAINED", {}, { stops: { followers: new Map([[PERSON, "DRAINED"]]) } }, {}],
    ["FAULT", {}, {}, { isUnreadable: true }],
    ["FAULT", {}, { faulty: "all" }, {}],
    ["FAULT", {}, { faulty: new Set([SUBSCRIPTION]) }, {}],
  ];
  test.each(cases)("%s: %j", (reason, plan, facts, changes) => {
    const copy = decided({ sizing: FIXED, ...plan }, facts, changes);
    expect(reasonOf(copy)).toBe(reason);
    expect(copy.outcome).toEqual({ kind: "skipped", reason } as Outcome);
    expect(copy.reservation).toBeUndefined();
  });

  test.each(cases)(
    "%s does not make unsent what may have been sent: %j",
    (reason, plan, facts, changes) => {
      const copy = decided({ sizing: FIXED, ...plan }, { ...facts, maybeSent: true }, changes);
      expect(copy).toMatchObject({ state: "ask-only", reason, outcome: undefined });
    },
  );

  test("not one step before the limit is reached", () => {
    const plans: readonly [CopyPlan, Partial<Facts>][] = [
      [{ symbols: ["EUR/USD"], deniedSymbols: ["GBP/USD"] }, {}],
      [{ maxAgeMs: 100 }, {}],
      [{ maxAgeShareBp: 17 }, {}],
      [{ minPayoutBp: 8_500 }, { payoutsBp: new Map([["EUR/USD", 8_500]]) }],
      [{ maxDayLossCents: 50 }, { usages: used({ lossCents: 49 }) }],
      [{ maxOpen: 2 }, { usages: used({ open: 1 }) }],
      [{ maxDayStakeCents: 300 }, { usages: used({ stakedCents: 200 }) }],
    ];
    for (const [plan, facts] of plans) {
      expect(reasonOf(decided({ sizing: FIXED, ...plan }, facts))).toBe("unsent");
    }
  });

  test("for a follower's own reason where something is stopped, too: the halt is not why", () => {
    const stops: Stops = { all: "HALTED" };
    expect(reasonOf(decided({ sizing: FIXED }, { stops }, { state: "paused" }))).toBe("PAUSED");
  });

  test("for a fault before anything else, whatever the row and the plan hold", () => {
    const broken = { symbols: 7 } as unknown as CopyPlan;
    const changes = { state: "left", isUnreadable: true } as const;
    expect(reasonOf(decided(broken, { stops: { all: "HALTED" } }, changes))).toBe("FAULT");
    const asked = decided(broken, { faulty: "all", maybeSent: true });
    expect(asked).toMatchObject({ state: "ask-only", stakeCents: signal.stakeCents });
  });
});

describe("what stops a follower's copies", () => {
  const of = (stops: Stops) => stopReason(stops, PERSON);

  test("is a halt of all or of theirs, and else a drain", () => {
    const theirs = (reason: "HALTED" | "DRAINED") => ({ followers: new Map([[PERSON, reason]]) });
    expect(of({ all: "HALTED", ...theirs("DRAINED") })).toBe("HALTED");
    expect(of({ all: "DRAINED", ...theirs("HALTED") })).toBe("HALTED");
    expect(of({ all: "DRAINED" })).toBe("DRAINED");
    expect(of(theirs("DRAINED"))).toBe("DRAINED");
  });

  test("is nothing of another follower, and what is for all also of one who is not known", () => {
    const others = new Map([[asId<PersonId>("other"), "HALTED" as const]]);
    expect(of({ followers: others })).toBeUndefined();
    expect(stopReason({ all: "DRAINED", followers: others }, undefined)).toBe("DRAINED");
  });
});

describe("terms", () => {
  test("are none where the copy is as the signal says", () => {
    expect(decided({ sizing: FIXED, symbolMap: { AAPL: "APPLE" }, maxAgeMs: 60_000 })).toEqual({
      clientOrderId: `${signal.id}.sub` as never,
      subscription: SUBSCRIPTION,
      account: ACCOUNT,
      stakeCents: 100,
      follower: PERSON,
      terms: undefined,
      isReserved: false,
      reservation: undefined,
      state: "unsent",
      reason: undefined,
      outcome: undefined,
    });
  });

  test("name the broker's symbol, the other contract and the earlier end", () => {
    const plan = {
      sizing: FIXED,
      symbolMap: { "EUR/USD": "EURUSD" },
      reverse: true,
      maxAgeMs: 400,
    };
    expect(decided(plan)).toMatchObject({
      terms: { symbol: "EURUSD", contract: "PUT", validUntilMs: signal.acceptedAtMs + 400 },
    });
  });

  test("ask the payout of the symbol that is traded", () => {
    const plan = { sizing: FIXED, symbolMap: { "EUR/USD": "EURUSD" }, minPayoutBp: 8_000 };
    expect(reasonOf(decided(plan, { payoutsBp: new Map([["EURUSD", 8_500]]) }))).toBe("unsent");
    expect(reasonOf(decided(plan, { payoutsBp: new Map([["EUR/USD", 8_500]]) }))).toBe(
      "PAYOUT_UNKNOWN",
    );
  });
});

describe("caps", () => {
  test("begin anew with the UTC day, but for what is still open", () => {
    const yesterday = used({ day: 19_999, stakedCents: 900, lossCents: 900, open: 1 });
    const plan = { sizing: FIXED, maxDayStakeCents: 100, maxDayLossCents: 1, maxOpen: 2 };
    const decision = decided(plan, { usages: yesterday });
    expect(decision).toMatchObject({ state: "unsent", isReserved: true });
    expect(decision.reservation).toEqual({ before: yesterday.get(SUBSCRIPTION)!, day: 20_000 });
    expect(reasonOf(decided({ ...plan, maxOpen: 1 }, { usages: yesterday }))).toBe("OPEN_CAP");
  });

  test("count what may have been sent also where they are used up", () => {
    const decision = decided(
      { sizing: FIXED, maxOpen: 1 },
      { usages: used({ open: 1 }), maybeSent: true },
    );
    expect(decision.reservation?.day).toBe(20_000);
    expect(decision).toMatchObject({ state: "ask-only", reason: "OPEN_CAP" });
  });

  test("cost followers who have none nothing", () => {
    const decision = decided({ sizing: FIXED, maxStakeCents: 10 });
    expect(decision).toMatchObject({ isReserved: false, reservation: undefined });
  });

  test("no stake and no total of a day ever exceeds them, whatever comes in whatever order", () => {
    const plan = fc.record(
      {
        sizing: fc.oneof(
          fc.record({
            kind: fc.constant("fixed" as const),
            stakeCents: fc.integer({ min: 1, max: 1_000 }),
          }),
          fc.record({
            kind: fc.constant("multiplier" as const),
            multiplierBp: fc.integer({ min: 1, max: 30_000 }),
          }),
          fc.record({
            kind: fc.constant("balance" as const),
            shareBp: fc.integer({ min: 1, max: 10_000 }),
          }),
        ),
        maxStakeCents: fc.integer({ min: 1, max: 500 }),
        maxDayStakeCents: fc.integer({ min: 1, max: 3_000 }),
        maxOpen: fc.integer({ min: 1, max: 5 }),
      },
      { requiredKeys: ["sizing", "maxDayStakeCents"] },
    );
    const step = fc.record({
      stakeCents: fc.integer({ min: 1, max: 2_000 }),
      balanceCents: fc.integer({ min: 0, max: 5_000 }),
      laterMs: fc.integer({ min: 0, max: DAY_MS / 4 }),
      // Which of the texts that were ever read this decision rests on: others may have been faster.
      staleness: fc.integer({ min: 0, max: 2 }),
    });
    fc.assert(
      fc.property(plan, fc.array(step, { maxLength: 60 }), (caps, steps) => {
        const model = new UsageModel();
        const texts = [""];
        const staked = new Map<number, number>();
        let nowMs = NOW_MS;
        for (const { stakeCents, balanceCents, laterMs, staleness } of steps) {
          nowMs += laterMs;
          const fresh = { ...signal, stakeCents, acceptedAtMs: nowMs, deadlineMs: nowMs };
          const decision = decide(fresh, follower(caps, { expiresAtMs: nowMs + 1 }), {
            nowMs,
            balances: new Map([[ACCOUNT, balanceCents]]),
            usages: new Map([[SUBSCRIPTION, texts.at(-1 - staleness) ?? ""]]),
          });
          if (!decision.reservation) continue;
          // What the script does: a decision on a text that no longer stands is void.
          if (decision.reservation.before !== texts.at(-1)) continue;
          const stake = decision.stakeCents;
          model.stake(String(texts.length), stake, decision.reservation.day);
          texts.push(formatUsage(model.usage));
          const { day, open } = model.usage;
          staked.set(day, (staked.get(day) ?? 0) + stake);
          if (caps.maxStakeCents !== undefined)
            expect(stake).toBeLessThanOrEqual(caps.maxStakeCents);
          expect(staked.get(day)).toBeLessThanOrEqual(caps.maxDayStakeCents);
          if (caps.maxOpen !== undefined) expect(open).toBeLessThanOrEqual(caps.maxOpen);
        }
      }),
    );
  });
});

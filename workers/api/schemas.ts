/** The shapes that the records API takes and answers: what is checked and what the OpenAPI document shows are one. */
import * as v from "valibot";
import type { ErrorCode } from "../../domain/error-codes.ts";
import { ID_PATTERN } from "../../domain/ids.ts";
import { MAX_AMOUNT_CENTS } from "../../domain/money.ts";
import { OUTCOME_KINDS } from "../../domain/copier/outcome.ts";
import { PLAN_FIELDS } from "../../domain/copier/plan-layer.ts";
import { SYMBOL_PATTERN } from "../../domain/instrument.ts";
import { CONTRACT_TYPES, MAX_DURATION_SECONDS } from "../../domain/products/binary.ts";
import { SUBSCRIPTION_STATES } from "../../domain/copier/subscription.ts";

/** The last millisecond of the year 9999. */
const MAX_TIME_MS = 253_402_300_799_999;
const MAX_MULTIPLIER_BP = 10_000_000;
const MAX_LIMIT = 1_000;
const MAX_SYMBOLS = 64;
const MAX_OPEN = 100_000;
/** A win that pays a hundred times its stake. */
const MAX_PAYOUT_BP = 1_000_000;

const wholeNumber = (min: number, max: number) => {
  const message = `must be a whole number from ${min} to ${max}`;
  return v.pipe(
    v.number(message),
    v.integer(message),
    v.minValue(min, message),
    v.maxValue(max, message),
  );
};
const matching = (pattern: RegExp, message: string) =>
  v.pipe(v.string(message), v.regex(pattern, message));
const text = (max: number) => {
  const message = `must be a text of 1 to ${max} characters`;
  return v.pipe(v.string(message), v.minLength(1, message), v.maxLength(max, message));
};

const id = matching(ID_PATTERN, "must be 1 to 64 of A-Z a-z 0-9 _ -");
const amount = wholeNumber(1, MAX_AMOUNT_CENTS);
const time = wholeNumber(1, MAX_TIME_MS);

const limit = (standard: number) =>
  v.pipe(
    v.optional(
      matching(/^([1-9]\d{0,2}|1000)$/, `must be a whole number from 1 to ${MAX_LIMIT}`),
      String(standard),
    ),
    v.transform(Number),
  );

export const SessionBody = v.strictObject({
  email: matching(/^[^\s@]{1,64}@[^\s@]{1,189}$/, "must be an e-mail address"),
  password: text(256),
});

const symbol = matching(SYMBOL_PATTERN, "must be a symbol such as EUR/USD");
const symbols = v.pipe(
  v.array(symbol, "must be a list"),
  v.maxLength(MAX_SYMBOLS, `must be at most ${MAX_SYMBOLS} symbols`),
);
const WHOLE_BP = 10_000;

/** What each of these does is said in `domain/copier/plan.ts` and `domain/copier/plan-layer.ts`. */
const Plan = v.strictObject({
  sizing: v.exactOptional(
    v.variant(
      "kind",
      [
        v.strictObject({ kind: v.literal("fixed"), stakeCents: amount }),
        v.strictObject({
          kind: v.literal("multiplier"),
          multiplierBp: wholeNumber(1, MAX_MULTIPLIER_BP),
        }),
        v.strictObject({ kind: v.literal("balance"), shareBp: wholeNumber(1, WHOLE_BP) }),
      ],
      "must be of kind fixed, multiplier or balance",
    ),
  ),
  maxStakeCents: v.exactOptional(amount),
  maxDayStakeCents: v.exactOptional(amount),
  maxOpen: v.exactOptional(wholeNumber(1, MAX_OPEN)),
  maxDayLossCents: v.exactOptional(amount),
  symbols: v.exactOptional(symbols),
  deniedSymbols: v.exactOptional(symbols),
  symbolMap: v.exactOptional(
    v.pipe(
      v.record(symbol, symbol, "must be symbols by symbol"),
      v.maxEntries(MAX_SYMBOLS, `must be at most ${MAX_SYMBOLS} symbols`),
    ),
  ),
  reverse: v.exactOptional(v.boolean("must be true or false")),
  minPayoutBp: v.exactOptional(wholeNumber(1, MAX_PAYOUT_BP)),
  maxAgeMs: v.exactOptional(wholeNumber(1, MAX_DURATION_SECONDS * 1_000)),
  maxAgeShareBp: v.exactOptional(wholeNumber(1, WHOLE_BP)),
  overriding: v.exactOptional(
    v.pipe(
      v.array(
        v.picklist(PLAN_FIELDS, `must be one of ${PLAN_FIELDS.join(", ")}`),
        "must be a list of the plan's fields",
      ),
      v.maxLength(PLAN_FIELDS.length, `must be at most ${PLAN_FIELDS.length} fields`),
    ),
  ),
});
const state = v.picklist(SUBSCRIPTION_STATES, `must be one of ${SUBSCRIPTION_STATES.join(", ")}`);

export const SubscriptionBody = v.strictObject({
  channel: id,
  account: id,
  plan: Plan,
  expiresAtMs: time,
  state: v.optional(v.picklist(["active", "paused"], "must be active or paused"), "active"),
});

export const SubscriptionChange = v.strictObject({
  plan: v.exactOptional(Plan),
  expiresAtMs: v.exactOptional(time),
  state: v.exactOptional(state),
});

export const SettingsBody = v.strictObject({
  plan: Plan,
  paused: v.boolean("must be true or false"),
});
/** How an order ended: those of a close end as closed where others are placed. */
export const ORDER_OUTCOMES = [...OUTCOME_KINDS, "closed"] as const;

export const OfChannel = v.strictObject({ channel: v.optional(id) });
export const SignalsQuery = v.strictObject({ channel: v.optional(id), limit: limit(20) });
export const OrdersQuery = v.strictObject({
  outcome: v.optional(v.picklist(ORDER_OUTCOMES, `must be one of ${ORDER_OUTCOMES.join(", ")}`)),
  limit: limit(100),
});

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const optionalCount = v.optional(count);

export const Person = v.object({ id: v.string(), name: v.string() });
export const PersonAnswer = v.object({ ...Person.entries, email: v.optional(v.string()) });
export const SessionAnswer = v.object({ token: v.string(), expiresAt: count, person: Person });

export const ChannelAnswer = v.object({
  id: v.string(),
  name: v.string(),
  provider: v.string(),
  symbols: v.array(v.string()),
  deadlineMs: count,
  /** Whether the caller is its provider or has a grant. */
  maySend: v.boolean(),
});
export const ChannelsAnswer = v.object({ channels: v.array(ChannelAnswer) });

export const SubscriptionAnswer = v.object({
  id: v.string(),
  channel: v.string(),
  account: v.string(),
  broker: v.string(),
  region: v.string(),
  state: v.picklist(SUBSCRIPTION_STATES),
  expiresAtMs: count,
  plan: Plan,
  version: count,
});
export const SubscriptionsAnswer = v.object({ subscriptions: v.array(SubscriptionAnswer) });

export const SettingsAnswer = v.object({
  scope: v.string(),
  plan: Plan,
  paused: v.boolean(),
  version: count,
});

const Counts = v.object({
  followers: count,
  placed: count,
  rejected: count,
  skipped: count,
  unknown: count,
});
const Results = v.object({
  open: count,
  won: count,
  lost: count,
  void: count,
  sold: count,
  closed: count,
  stakeCents: count,
  returnCents: count,
});
export const ResultsAnswer = v.object({ id: v.string(), results: Results });
export const SignalsAnswer = v.object({
  signals: v.array(
    v.object({
      id: v.string(),
      channel: v.string(),
      action: v.picklist(["open", "close"]),
      /** Absent where the house closed all. */
      symbol: v.optional(v.string()),
      /** A close has none of these. */
      contract: v.optional(v.picklist(CONTRACT_TYPES)),
      stakeCents: optionalCount,
      durationSeconds: optionalCount,
      /** Of a close: the signals whose positions it closes. */
      closes: v.optional(v.array(v.string())),
      sequence: count,
      acceptedAt: count,
      counts: Counts,
      results: Results,
    }),
  ),
});
export const OrdersAnswer = v.object({
  orders: v.array(
    v.object({
      id: v.string(),
      subscription: v.string(),
      account: v.optional(v.string()),
      broker: v.string(),
      outcome: v.picklist(ORDER_OUTCOMES),
      /** Of a close: the order that it closes. */
      closes: v.optional(v.string()),
      reason: v.optional(v.string()),
      stakeCents: optionalCount,
      openPriceMicros: optionalCount,
      openedAtMs: optionalCount,
      expiresAtMs: optionalCount,
      closedAtMs: optionalCount,
      settlement: v.optional(v.string()),
      returnCents: optionalCount,
      closePriceMicros: v.nullish(count),
      settledAtMs: optionalCount,
      acceptedAtMs: count,
      dispatchedAtMs: count,
      decidedAtMs: count,
      sentAtMs: optionalCount,
      answeredAtMs: optionalCount,
      recordedAtMs: count,
    }),
  ),
});
export const ProgressAnswer = v.object({
  id: v.string(),
  status: v.picklist(["running", "complete"]),
  counts: Counts,
  timing: v.object({
    acceptedAt: count,
    firstMs: v.nullable(v.number()),
    lastMs: v.nullable(v.number()),
  }),
});

export const HealthAnswer = v.object({ status: v.literal("ok") });
export const DocumentAnswer = v.looseObject({ openapi: v.string() });

export const ProblemAnswer = (status: number, codes: readonly ErrorCode[]) =>
  v.object({
    type: v.string(),
    title: v.string(),
    status: v.literal(status),
    code: v.picklist(codes),
    detail: v.string(),
    faults: v.optional(v.array(v.object({ path: v.string(), message: v.string() }))),
  });

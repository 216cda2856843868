/** The shapes that the edge takes and answers: what is checked and what the OpenAPI document shows are one. */
import * as v from "valibot";
import { ID_PATTERN } from "../domain/ids.ts";
import { MAX_AMOUNT_CENTS } from "../domain/money.ts";
import {
  CONTRACT_TYPES,
  MAX_DURATION_SECONDS,
  MIN_DURATION_SECONDS,
  SYMBOL_PATTERN,
} from "../domain/signal.ts";

const wholeNumber = (min: number, max: number) => {
  const message = `must be a whole number from ${min} to ${max}`;
  return v.pipe(
    v.number(message),
    v.integer(message),
    v.minValue(min, message),
    v.maxValue(max, message),
  );
};
export const matching = (pattern: RegExp, message: string) =>
  v.pipe(v.string(message), v.regex(pattern, message));

const channel = matching(ID_PATTERN, "must be 1 to 64 of A-Z a-z 0-9 _ -");
export const visible = (max: number) =>
  matching(
    new RegExp(`^[!-~]{1,${max}}$`),
    `must be 1 to ${max} visible characters without blanks`,
  );

/** What a signal says, apart from its channel. */
export const SIGNAL_FIELDS = {
  symbol: matching(SYMBOL_PATTERN, "must be a symbol such as EUR/USD"),
  contract: v.picklist(CONTRACT_TYPES, "must be CALL or PUT"),
  stakeCents: wholeNumber(1, MAX_AMOUNT_CENTS),
  durationSeconds: wholeNumber(MIN_DURATION_SECONDS, MAX_DURATION_SECONDS),
};

export const SignalBody = v.strictObject({ channel, ...SIGNAL_FIELDS });

/** A hook stands for one channel: naming it again is allowed, naming another is not. */
export const StandardHookBody = v.strictObject({ channel: v.optional(channel), ...SIGNAL_FIELDS });

export const TradingViewBody = v.strictObject({
  ...StandardHookBody.entries,
  // TradingView's tickers may carry an exchange: FX:EURUSD.
  symbol: matching(/^[A-Z0-9_:/.]{1,40}$/, "must be a symbol such as EURUSD"),
  stakeCents: v.optional(SIGNAL_FIELDS.stakeCents),
  stake: v.optional(matching(/^\d{1,13}(\.\d{1,2})?$/, 'must be an amount such as "5.00"')),
  id: v.optional(visible(64)),
  time: v.optional(
    matching(
      /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,3})?Z$/,
      "must be a UTC time such as 2026-01-31T12:00:00Z",
    ),
  ),
});

export const SocketAuth = v.strictObject({
  type: v.literal("auth", "must be auth"),
  token: matching(/^\S{1,4096}$/, "must be a token"),
});

export const SocketSignal = v.strictObject({
  ...SignalBody.entries,
  idempotencyKey: v.optional(visible(255)),
  ref: v.optional(
    v.pipe(v.string("must be text"), v.maxLength(64, "must be at most 64 characters")),
  ),
});

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

export const AcceptanceAnswer = v.object({
  id: v.string(),
  sequence: count,
  acceptedAt: count,
  followers: count,
});

export const ProgressAnswer = v.object({
  id: v.string(),
  status: v.picklist(["running", "complete"]),
  counts: v.object({
    followers: count,
    placed: count,
    rejected: count,
    skipped: count,
    unknown: count,
  }),
  timing: v.object({
    acceptedAt: count,
    firstMs: v.nullable(v.number()),
    lastMs: v.nullable(v.number()),
  }),
});

export const HealthAnswer = v.object({ status: v.literal("ok") });

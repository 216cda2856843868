/**
 * The schema of a copy plan. The fields are explained in `domain/copier/plan.ts` and
 * `domain/copier/plan-layer.ts`.
 */
import * as v from "valibot";
import { PLAN_FIELDS } from "../../domain/copier/plan-layer.ts";
import { MAX_DURATION_SECONDS } from "../../domain/products/binary.ts";
import { amount, symbol, wholeNumber } from "../../http/field.ts";

const MAX_MULTIPLIER_BP = 10_000_000;
const MAX_SYMBOLS = 64;
const MAX_OPEN = 100_000;
/** A win that pays a hundred times its stake. */
const MAX_PAYOUT_BP = 1_000_000;
const WHOLE_BP = 10_000;

const symbols = v.pipe(
  v.array(symbol, "must be a list"),
  v.maxLength(MAX_SYMBOLS, `must be at most ${MAX_SYMBOLS} symbols`),
);

export const Plan = v.strictObject({
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

/** The settings for all copies below a scope. */
export const SettingsBody = v.strictObject({
  plan: Plan,
  paused: v.boolean("must be true or false"),
});

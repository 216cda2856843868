/**
 * The requests and answers of the desk's HTTP interface for contracts: everything that the desk and
 * its clients share.
 */
import * as v from "valibot";
import {
  ID_PATTERN,
  SIGNAL_ID_PATTERN,
  type AccountId,
  type ClientOrderId,
  type SignalId,
} from "../../../domain/ids.ts";
import { MAX_AMOUNT_CENTS } from "../../../domain/money.ts";
import {
  CONTRACT_TYPES,
  MAX_DURATION_SECONDS,
  MIN_DURATION_SECONDS,
  SETTLEMENT_KINDS,
} from "../../../domain/products/binary.ts";
import { amount, count, matching, symbol, wholeNumber } from "../../../http/field.ts";

const REFUSALS = ["ACCOUNT_UNKNOWN", "BALANCE_TOO_LOW", "QUOTE_STALE", "PAST_VALID_UNTIL"] as const;
/** Why the desk refuses an order. */
export type RefusalReason = (typeof REFUSALS)[number];

/**
 * The part of a client order id before its last dot: orders of one signal share it. So it is sent
 * once for each call, and the desk stores one hash of contracts for it.
 */
export function bucketOf(id: ClientOrderId): string {
  const dot = id.lastIndexOf(".");
  return dot < 0 ? id : id.slice(0, dot);
}

/** The part of a client order id that is unique within its bucket. */
export function nameOf(id: ClientOrderId, bucket: string): string {
  return id.slice(bucket.length + 1);
}

/** The most orders of one call: more than a shard. */
export const MAX_ORDERS = 1_000;

/** A text that is checked by its pattern, with the type that it then has. */
const textOf = <T extends string>(pattern: RegExp, message: string) =>
  v.pipe(
    v.custom<T>((value) => typeof value === "string" && pattern.test(value), message),
    v.metadata({ type: "string", pattern: pattern.source }),
  );
const ID_MESSAGE = "must be 1 to 64 of A-Z a-z 0-9 _ -";
const account = textOf<AccountId>(ID_PATTERN, ID_MESSAGE);
const signalId = textOf<SignalId>(SIGNAL_ID_PATTERN, "must be the id of a signal");
/** Empty if the bucket is the whole client order id. */
const NAME = /^[A-Za-z0-9_-]{0,64}$/;

/**
 * A list that is checked as a whole: a schema for each of a thousand items costs more than the rest
 * of a call. `items` describes an item in the document.
 */
const column = <T>(items: object, message: string, holds: (item: unknown) => boolean) =>
  v.pipe(
    v.custom<readonly T[]>(
      (value) =>
        Array.isArray(value) &&
        value.length >= 1 &&
        value.length <= MAX_ORDERS &&
        value.every((item) => holds(item)),
      `must be a list of 1 to ${MAX_ORDERS}, of which each ${message}`,
    ),
    v.metadata({ type: "array", minItems: 1, maxItems: MAX_ORDERS, items }),
  );
const texts = <T extends string>(pattern: RegExp, message: string) =>
  column<T>({ type: "string", pattern: pattern.source }, message, (item) => {
    return typeof item === "string" && pattern.test(item);
  });
const fewItems = `must be a list of 1 to ${MAX_ORDERS}`;
const several = <Item extends v.GenericSchema>(item: Item) =>
  v.pipe(v.array(item, fewItems), v.minLength(1, fewItems), v.maxLength(MAX_ORDERS, fewItems));

const columns = (leastStakeCents: number) =>
  v.pipe(
    v.strictObject({
      bucket: matching(/^[A-Za-z0-9_.-]{1,64}$/, "must be 1 to 64 of A-Z a-z 0-9 _ . -"),
      shard: wholeNumber(0, 1_000_000),
      names: texts<string>(NAME, "must be at most 64 of A-Z a-z 0-9 _ -"),
      accounts: texts<AccountId>(ID_PATTERN, ID_MESSAGE),
      stakesCents: column<number>(
        { type: "integer", minimum: leastStakeCents, maximum: MAX_AMOUNT_CENTS },
        `must be a whole number from ${leastStakeCents} to ${MAX_AMOUNT_CENTS}`,
        (cents) =>
          Number.isSafeInteger(cents) &&
          (cents as number) >= leastStakeCents &&
          (cents as number) <= MAX_AMOUNT_CENTS,
      ),
    }),
    v.check(
      ({ names, accounts, stakesCents }) =>
        names.length === accounts.length && names.length === stakesCents.length,
      "must have as many names as accounts and stakes",
    ),
  );

export const OrderBatchSchema = v.strictObject({
  symbol,
  contract: v.picklist(CONTRACT_TYPES, `must be one of ${CONTRACT_TYPES.join(", ")}`),
  durationSeconds: wholeNumber(MIN_DURATION_SECONDS, MAX_DURATION_SECONDS),
  validUntilMs: wholeNumber(0, Number.MAX_SAFE_INTEGER),
  orders: columns(1),
});
export type OrderBatchBody = v.InferOutput<typeof OrderBatchSchema>;

/** The stakes that the sender knows, perhaps none: the desk sells what is on its books. */
export const CloseBatchSchema = v.strictObject({
  close: signalId,
  orders: columns(0),
});
export type CloseBatchBody = v.InferOutput<typeof CloseBatchSchema>;

export const DepositsSchema = v.strictObject({
  deposits: several(
    v.strictObject({
      id: matching(/^[A-Za-z0-9_.-]{1,128}$/, "must be 1 to 128 of A-Z a-z 0-9 _ . -"),
      account,
      amountCents: amount,
    }),
  ),
});

export const BalancesSchema = v.strictObject({ accounts: several(account) });

export const PayoutsSchema = v.strictObject({ symbols: several(symbol) });

const list = <Item extends v.GenericSchema>(item: Item) => v.pipe(v.array(item), v.readonly());

/**
 * The fields that all contracts of one call share. Times are epoch milliseconds of the desk's
 * clock.
 */
const terms = { openPriceMicros: count, openedAtMs: count, expiresAtMs: count };
const OpenedTermsSchema = v.object(terms);
export type OpenedTerms = Readonly<v.InferOutput<typeof OpenedTermsSchema>>;

const placed = v.object({ kind: v.literal("placed"), stakeCents: count, ...terms });
const refused = v.object({
  kind: v.literal("rejected"),
  stakeCents: count,
  reason: v.picklist(REFUSALS),
});
const sold = v.object({
  kind: v.literal("closed"),
  stakeCents: count,
  returnCents: count,
  closePriceMicros: count,
  closedAtMs: count,
});
/** Never opened, and never will be: its valid-until has passed. */
const absent = v.object({ kind: v.literal("absent") });
/** Not on the books yet. */
const pending = v.object({ kind: v.literal("pending") });
/** Never opened, expired, or sold by another close. */
const notOpen = v.object({ kind: v.literal("not-open") });
const stillOpen = v.object({ kind: v.literal("open") });

const OrderAnswerSchema = v.variant("kind", [placed, refused]);
const OrderLookUpSchema = v.variant("kind", [placed, refused, absent, pending]);
const SaleAnswerSchema = v.variant("kind", [sold, refused, notOpen]);
const SaleLookUpSchema = v.variant("kind", [sold, notOpen, stillOpen]);
export type OrderAnswer = Readonly<v.InferOutput<typeof OrderAnswerSchema>>;
export type OrderLookUp = Readonly<v.InferOutput<typeof OrderLookUpSchema>>;
export type SaleAnswer = Readonly<v.InferOutput<typeof SaleAnswerSchema>>;
export type SaleLookUp = Readonly<v.InferOutput<typeof SaleLookUpSchema>>;

export const OpenAnswerSchema = v.union([
  /** Each order was opened by this call, with these terms and the requested stake. */
  v.object({ opened: OpenedTermsSchema }),
  v.object({ answers: list(OrderAnswerSchema) }),
]);
export type OpenAnswer = Readonly<v.InferOutput<typeof OpenAnswerSchema>>;

export const LookUpAnswerSchema = v.object({ answers: list(OrderLookUpSchema) });
export type LookUpAnswer = Readonly<v.InferOutput<typeof LookUpAnswerSchema>>;

export const CloseBatchAnswerSchema = v.object({ answers: list(SaleAnswerSchema) });
export type CloseBatchAnswer = Readonly<v.InferOutput<typeof CloseBatchAnswerSchema>>;

export const ClosedAnswerSchema = v.object({ answers: list(SaleLookUpSchema) });
export type ClosedAnswer = Readonly<v.InferOutput<typeof ClosedAnswerSchema>>;

/** For balances and payouts: one answer for each requested item, in their order. */
export const ValuesAnswerSchema = v.object({ answers: list(v.nullable(count)) });
export type ValuesAnswer = Readonly<v.InferOutput<typeof ValuesAnswerSchema>>;

const clientOrderId = textOf<ClientOrderId>(/^[A-Za-z0-9_.-]{1,129}$/, "must be a client order id");

/** One page of the contracts whose client order ids start alike. */
export const ContractsAnswerSchema = v.object({
  /** The cursor of the next page; null after the last. */
  next: v.nullable(v.string()),
  contracts: list(
    v.object({
      clientOrderId,
      account,
      stakeCents: count,
      openedAtMs: count,
      state: v.picklist(["open", ...SETTLEMENT_KINDS]),
      /** The close that sold it back. */
      soldBy: v.exactOptional(signalId),
    }),
  ),
});
export type ContractsAnswer = Readonly<v.InferOutput<typeof ContractsAnswerSchema>>;

export const SettlementsAnswerSchema = v.object({
  /** The cursor after these settlements. */
  next: v.string(),
  settlements: list(
    v.object({
      clientOrderId,
      account,
      kind: v.picklist(SETTLEMENT_KINDS),
      returnCents: count,
      closePriceMicros: v.nullable(count),
      settledAtMs: count,
    }),
  ),
});
export type SettlementsAnswer = Readonly<v.InferOutput<typeof SettlementsAnswerSchema>>;

/**
 * What the desk's HTTP interface for contracts takes and answers: all that the
 * desk and those who trade there share.
 */
import * as v from "valibot";
import {
  ID_PATTERN,
  isSignalId,
  type AccountId,
  type ClientOrderId,
  type SignalId,
} from "../../../domain/ids.ts";
import { MAX_AMOUNT_CENTS } from "../../../domain/money.ts";
import { SYMBOL_PATTERN } from "../../../domain/instrument.ts";
import {
  CONTRACT_TYPES,
  MAX_DURATION_SECONDS,
  MIN_DURATION_SECONDS,
  type SettlementKind,
} from "../../../domain/products/binary.ts";

/** What all contracts have in common that were opened in one call. Times are epoch milliseconds of the desk's clock. */
export interface OpenedTerms {
  readonly openPriceMicros: number;
  readonly openedAtMs: number;
  readonly expiresAtMs: number;
}

/** Why the desk refuses an order. */
export type RefusalReason =
  "ACCOUNT_UNKNOWN" | "BALANCE_TOO_LOW" | "QUOTE_STALE" | "PAST_VALID_UNTIL";

interface Refused {
  readonly kind: "rejected";
  readonly stakeCents: number;
  readonly reason: RefusalReason;
}

interface Sold {
  readonly kind: "closed";
  readonly stakeCents: number;
  readonly returnCents: number;
  readonly closePriceMicros: number;
  readonly closedAtMs: number;
}

export type OrderAnswer =
  ({ readonly kind: "placed"; readonly stakeCents: number } & OpenedTerms) | Refused;

export type OrderLookUp =
  | OrderAnswer
  /** Never opened, and never will be: its valid-until has passed. */
  | { readonly kind: "absent" }
  /** Not on the books yet. */
  | { readonly kind: "pending" };

export type SaleAnswer =
  | Sold
  | Refused
  /** Never opened, expired, or sold by another close. */
  | { readonly kind: "not-open" };

export type SaleLookUp = Exclude<SaleAnswer, Refused> | { readonly kind: "open" };

/** A contract on the desk's books. */
export interface BookedContract {
  readonly clientOrderId: ClientOrderId;
  readonly account: AccountId;
  readonly stakeCents: number;
  readonly openedAtMs: number;
  readonly state: "open" | SettlementKind;
  /** What sold it back. */
  readonly soldBy?: SignalId;
}

/**
 * The part of a client order id before its last dot: orders of one signal share
 * it, so it is sent once a call, and the desk keeps one hash of contracts for it.
 */
export function bucketOf(id: ClientOrderId): string {
  const dot = id.lastIndexOf(".");
  return dot < 0 ? id : id.slice(0, dot);
}

/** The part of a client order id that tells it apart within its bucket. */
export function nameOf(id: ClientOrderId, bucket: string): string {
  return id.slice(bucket.length + 1);
}

/** Orders of one call: a shard, with room to spare. */
export const MAX_ORDERS = 1_000;

const isId = (value: unknown): boolean => typeof value === "string" && ID_PATTERN.test(value);
const account = v.custom<AccountId>(isId);
/** Empty where the bucket is all of the client order id. */
const NAME = /^[A-Za-z0-9_-]{0,64}$/;
/** Looked at as a whole: a schema for each of a thousand items costs more than all the rest of a call. */
const column = <T>(holds: (item: unknown) => boolean) =>
  v.custom<readonly T[]>(
    (value) =>
      Array.isArray(value) &&
      value.length >= 1 &&
      value.length <= MAX_ORDERS &&
      value.every((item) => holds(item)),
  );
const whole = (min: number, max: number) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(min), v.maxValue(max));

const columns = (leastStakeCents: number) =>
  v.pipe(
    v.strictObject({
      bucket: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_.-]{1,64}$/)),
      shard: whole(0, 1_000_000),
      names: column<string>((name) => typeof name === "string" && NAME.test(name)),
      accounts: column<AccountId>(isId),
      stakesCents: column<number>(
        (cents) =>
          Number.isSafeInteger(cents) &&
          (cents as number) >= leastStakeCents &&
          (cents as number) <= MAX_AMOUNT_CENTS,
      ),
    }),
    v.check(
      ({ names, accounts, stakesCents }) =>
        names.length === accounts.length && names.length === stakesCents.length,
    ),
  );

export const OrderBatchSchema = v.strictObject({
  symbol: v.pipe(v.string(), v.regex(SYMBOL_PATTERN)),
  contract: v.picklist(CONTRACT_TYPES),
  durationSeconds: whole(MIN_DURATION_SECONDS, MAX_DURATION_SECONDS),
  validUntilMs: whole(0, Number.MAX_SAFE_INTEGER),
  orders: columns(1),
});
export type OrderBatchBody = v.InferOutput<typeof OrderBatchSchema>;

/** Stakes are what the sender knows of, which may be nothing: what is sold is what stands on the books. */
export const CloseBatchSchema = v.strictObject({
  close: v.custom<SignalId>((value) => typeof value === "string" && isSignalId(value)),
  orders: columns(0),
});
export type CloseBatchBody = v.InferOutput<typeof CloseBatchSchema>;

export const DepositsSchema = v.strictObject({
  deposits: v.pipe(
    v.array(
      v.strictObject({
        id: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_.-]{1,128}$/)),
        account,
        amountCents: whole(1, MAX_AMOUNT_CENTS),
      }),
    ),
    v.minLength(1),
    v.maxLength(MAX_ORDERS),
  ),
});

export const BalancesSchema = v.strictObject({
  accounts: v.pipe(v.array(account), v.minLength(1), v.maxLength(MAX_ORDERS)),
});

export const PayoutsSchema = v.strictObject({
  symbols: v.pipe(
    v.array(v.pipe(v.string(), v.regex(SYMBOL_PATTERN))),
    v.minLength(1),
    v.maxLength(MAX_ORDERS),
  ),
});

/** Of balances and payouts alike: one for each that was asked, in their order. */
export interface ValuesAnswer {
  readonly answers: readonly (number | null)[];
}

export type OpenAnswer =
  /** Each order was opened by this call, at these terms and for the stake it asked for. */
  { readonly opened: OpenedTerms } | { readonly answers: readonly OrderAnswer[] };

export interface LookUpAnswer {
  readonly answers: readonly OrderLookUp[];
}

export interface CloseBatchAnswer {
  readonly answers: readonly SaleAnswer[];
}

export interface ClosedAnswer {
  readonly answers: readonly SaleLookUp[];
}

/** One page of the contracts whose client order ids start alike. */
export interface ContractsAnswer {
  /** Where the next page begins; null after the last. */
  readonly next: string | null;
  readonly contracts: readonly BookedContract[];
}

export interface SettlementsAnswer {
  readonly next: string;
  readonly settlements: readonly {
    readonly clientOrderId: ClientOrderId;
    readonly account: AccountId;
    readonly kind: SettlementKind;
    readonly returnCents: number;
    readonly closePriceMicros: number | null;
    readonly settledAtMs: number;
  }[];
}

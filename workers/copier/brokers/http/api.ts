/**
 * The requests and answers of a broker with this HTTP interface. The answers
 * come from outside: one that does not have these shapes counts as no answer.
 *
 *     POST /orders          {symbol, contract, durationSeconds, validUntilMs, orders: [{clientOrderId, account, stakeCents}]}
 *     POST /orders/lookup   the same body
 *     POST /orders/close    {close, symbol, orders: [{clientOrderId, account, stakeCents}]}
 *     POST /orders/closed   the same body: how they ended
 *     GET  /orders?signal=  the orders of a signal on the books
 *     POST /balances        {accounts}
 *     POST /payouts         {symbols}
 *     GET  /settlements?after=
 */
import * as v from "valibot";
import { SETTLEMENT_KINDS } from "../../../../domain/products/binary.ts";
import type { AccountId, ClientOrderId, SignalId } from "../../../../domain/ids.ts";
import { REJECT_REASONS, type RejectReason } from "../../../../domain/copier/outcome.ts";
import type { BrokerAnswer, CloseAnswer, CloseLookUp, LookUp, Settlement } from "../port.ts";

const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const account = v.pipe(
  v.string(),
  v.transform((text) => text as AccountId),
);
const clientOrderId = v.pipe(
  v.string(),
  v.transform((text) => text as ClientOrderId),
);

const placed = v.object({
  kind: v.literal("placed"),
  stakeCents: whole,
  openPriceMicros: whole,
  openedAtMs: whole,
  expiresAtMs: whole,
});
const rejected = v.object({
  kind: v.literal("rejected"),
  stakeCents: whole,
  reason: v.picklist(Object.keys(REJECT_REASONS) as RejectReason[]),
});
const answers = <T extends v.GenericSchema>(of: T) => v.object({ answers: v.array(of) });

export const OpenReply: v.GenericSchema<unknown, { readonly answers: readonly BrokerAnswer[] }> =
  answers(v.variant("kind", [placed, rejected]));

export const LookUpReply: v.GenericSchema<unknown, { readonly answers: readonly LookUp[] }> =
  answers(
    v.variant("kind", [
      placed,
      rejected,
      v.object({ kind: v.literal("absent") }),
      v.object({ kind: v.literal("pending") }),
    ]),
  );

const closed = v.object({
  kind: v.literal("closed"),
  stakeCents: whole,
  returnCents: whole,
  closePriceMicros: whole,
  closedAtMs: whole,
});
const notOpen = v.object({ kind: v.literal("not-open") });

export const CloseReply: v.GenericSchema<unknown, { readonly answers: readonly CloseAnswer[] }> =
  answers(v.variant("kind", [closed, rejected, notOpen]));

export const ClosedReply: v.GenericSchema<unknown, { readonly answers: readonly CloseLookUp[] }> =
  answers(v.variant("kind", [closed, notOpen, v.object({ kind: v.literal("open") })]));

export const BookedReply = answers(
  v.object({
    clientOrderId,
    account,
    stakeCents: whole,
    openedAtMs: whole,
    state: v.exactOptional(v.picklist(["open", ...SETTLEMENT_KINDS])),
    soldBy: v.exactOptional(
      v.pipe(
        v.string(),
        v.transform((text) => text as SignalId),
      ),
    ),
  }),
);

export const ValuesReply = answers(v.nullable(whole));

export const SettlementsReply: v.GenericSchema<
  unknown,
  { readonly next: string; readonly settlements: readonly Settlement[] }
> = v.object({
  next: v.string(),
  settlements: v.array(
    v.object({
      clientOrderId,
      account,
      kind: v.picklist(SETTLEMENT_KINDS),
      returnCents: whole,
      closePriceMicros: v.nullable(whole),
      settledAtMs: whole,
    }),
  ),
});

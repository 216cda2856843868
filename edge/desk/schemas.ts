/** The desk's shapes as the edge takes and answers them; money in whole cents, times in epoch milliseconds. */
import * as v from "valibot";
import { DESK_COMMANDS, DESK_USER_PATTERN } from "../../domain/desk/command.ts";
import { DESK_REFUSALS, type DeskRefusal } from "../../domain/desk/refusals.ts";
import { amount, count, matching, wholeNumber } from "../../http/field.ts";

const MAX_N = 999_999_999_999_999;

/** `docs/DESK.md` lists the arguments of each command. */
export const CommandBody = v.strictObject({
  command: v.picklist(DESK_COMMANDS, "must be one of the desk's commands"),
  n: v.optional(wholeNumber(0, MAX_N)),
  user: v.optional(matching(DESK_USER_PATTERN, "must be 1 to 64 letters and digits")),
  symbol: v.optional(matching(/^[A-Z]{1,3}$/, "must be one to three capitals")),
  amountCents: v.optional(amount),
  file: v.optional(matching(/^[A-Za-z0-9._-]{1,128}$/, "must be a file's name without a path")),
});

export const ReplyAnswer = v.looseObject({
  n: v.nullable(count),
  transaction: v.nullable(count),
  ok: v.boolean(),
  code: v.optional(v.picklist(Object.keys(DESK_REFUSALS) as DeskRefusal[])),
  message: v.optional(v.string()),
});

const prices = v.picklist(["simulated", "real"]);
const symbol = v.string();
const trigger = { symbol, amountCents: count, priceCents: v.nullable(count) };
const pending = v.object({ symbol, shares: count, priceCents: count, expiresAtMs: count });

export const SummaryAnswer = v.object({
  user: v.string(),
  balanceCents: count,
  reservedCents: count,
  holdings: v.array(v.object({ symbol, shares: count, reservedShares: count })),
  pendingBuys: v.array(pending),
  pendingSells: v.array(pending),
  buyTriggers: v.array(v.object(trigger)),
  sellTriggers: v.array(v.object({ ...trigger, shares: count })),
  history: v.array(
    v.object({
      transaction: count,
      command: v.string(),
      symbol: v.nullable(symbol),
      cents: count,
      shares: count,
      atMs: count,
    }),
  ),
  prices,
  nowMs: count,
});

export const QuoteAnswer = v.object({
  symbol,
  priceCents: count,
  quoteTimeMs: count,
  validUntilMs: count,
  prices,
});

export const EventsAnswer = v.object({
  events: v.array(
    v.looseObject({
      kind: v.picklist(["command", "quote", "fired", "account", "system"]),
      transaction: count,
      user: v.string(),
      atMs: count,
      server: v.string(),
    }),
  ),
  next: v.nullable(v.string()),
});

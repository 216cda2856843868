/** The body of a signal, for each way in which it can be sent. */
import * as v from "valibot";
import type { Fault } from "../domain/error-codes.ts";
import { type ChannelId, SIGNAL_ID_PATTERN, type SignalId } from "../domain/ids.ts";
import type { Signal } from "../domain/copier/signal.ts";
import {
  CONTRACT_TYPES,
  MAX_DURATION_SECONDS,
  MIN_DURATION_SECONDS,
} from "../domain/products/binary.ts";
import { failure, type Result } from "../domain/result.ts";
import { check } from "../http/check.ts";
import { amount, id, matching, symbol, visible, wholeNumber } from "../http/field.ts";

/** The fields of a signal that opens, without its channel. */
const OPEN_FIELDS = {
  action: v.optional(v.literal("open", "must be open or close")),
  symbol,
  contract: v.picklist(CONTRACT_TYPES, "must be CALL or PUT"),
  stakeCents: amount,
  durationSeconds: wholeNumber(MIN_DURATION_SECONDS, MAX_DURATION_SECONDS),
};

/** The fields of a signal that closes: everything of a symbol, or what one signal opened. */
const CLOSE_FIELDS = {
  action: v.literal("close", "must be open or close"),
  symbol: v.optional(symbol),
  signal: v.optional(matching(SIGNAL_ID_PATTERN, "must be a signal's id")),
};

/** The two shapes of a body that may open or close. */
interface Either<Open, Close> {
  readonly open: Open;
  readonly close: Close;
}

export const SignalBody = {
  open: v.strictObject({ channel: id, ...OPEN_FIELDS }),
  close: v.strictObject({ channel: id, ...CLOSE_FIELDS }),
};

/** A hook belongs to one channel: naming it again is allowed, naming another is not. */
export const StandardHookBody = {
  open: v.strictObject({ channel: v.optional(id), ...OPEN_FIELDS }),
  close: v.strictObject({ channel: v.optional(id), ...CLOSE_FIELDS }),
};

// TradingView's tickers may carry an exchange: FX:EURUSD.
const ticker = matching(/^[A-Z0-9_:/.]{1,40}$/, "must be a symbol such as EURUSD");
const ALERT_FIELDS = {
  id: v.optional(visible(64)),
  time: v.optional(
    matching(
      /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,3})?Z$/,
      "must be a UTC time such as 2026-01-31T12:00:00Z",
    ),
  ),
};

export const TradingViewBody = {
  open: v.strictObject({
    ...StandardHookBody.open.entries,
    ...ALERT_FIELDS,
    symbol: ticker,
    stakeCents: v.optional(OPEN_FIELDS.stakeCents),
    stake: v.optional(matching(/^\d{1,13}(\.\d{1,2})?$/, 'must be an amount such as "5.00"')),
  }),
  close: v.strictObject({
    ...StandardHookBody.close.entries,
    ...ALERT_FIELDS,
    symbol: v.optional(ticker),
  }),
};

export const SocketAuth = v.strictObject({
  type: v.literal("auth", "must be auth"),
  token: matching(/^\S{1,4096}$/, "must be a token"),
});

const SOCKET_FIELDS = {
  idempotencyKey: v.optional(visible(255)),
  ref: v.optional(
    v.pipe(v.string("must be text"), v.maxLength(64, "must be at most 64 characters")),
  ),
};
export const SocketSignal = {
  open: v.strictObject({ ...SignalBody.open.entries, ...SOCKET_FIELDS }),
  close: v.strictObject({ ...SignalBody.close.entries, ...SOCKET_FIELDS }),
};

type Shape = v.GenericSchema;

/** Checks a body against one of the two shapes, chosen by its `action`. */
export function checkSignal<Open extends Shape, Close extends Shape>(
  { open, close }: Either<Open, Close>,
  value: unknown,
): Result<v.InferOutput<Open> | v.InferOutput<Close>> {
  if ((value as { action?: unknown } | null)?.action !== "close")
    return check(open, value, "BODY_INVALID");
  const body = check(close, value, "BODY_INVALID");
  if (!body.ok) return body;
  const { symbol: all, signal } = body.value as { symbol?: string; signal?: string };
  const isOne = (all === undefined) !== (signal === undefined);
  return isOne ? body : failure("BODY_INVALID", [WHAT_TO_CLOSE]);
}

const WHAT_TO_CLOSE: Fault = {
  path: "symbol",
  message: "a close names either a symbol or a signal",
};

/** Turns a checked body into a signal. */
export function toSignal(
  channelId: ChannelId,
  body: v.InferOutput<typeof StandardHookBody.open> | v.InferOutput<typeof StandardHookBody.close>,
): Signal {
  if (body.action === "close") {
    const { action, symbol: all, signal } = body;
    return {
      action,
      channel: channelId,
      ...(all === undefined ? {} : { symbol: all }),
      ...(signal === undefined ? {} : { signal: signal as SignalId }),
    };
  }
  const { symbol: one, contract, stakeCents, durationSeconds } = body;
  return { channel: channelId, symbol: one, contract, stakeCents, durationSeconds };
}

/** The settings of the quotes role, and those of every role that uses quotes. */
import * as v from "valibot";
import { SYMBOL_PATTERN } from "../../../domain/instrument.ts";
import { CONSUMER, port, PROCESS, REDIS, text, url } from "../../runtime/env.ts";

export const QUOTES = {
  /** The quote source that is asked. */
  FANFARE_QUOTES_ASKED: v.optional(url("tcp:"), "tcp://127.0.0.1:8792"),
  /** The streamed symbols, separated by commas. For any other symbol the source is asked. */
  FANFARE_QUOTES_SYMBOLS: v.optional(
    v.pipe(
      text,
      v.transform((names) => names.split(",")),
      v.array(v.pipe(text, v.regex(SYMBOL_PATTERN, "a symbol, such as EUR/USD or R_100"))),
    ),
    "EUR/USD,GBP/USD,USD/JPY,BTC/USD,R_100",
  ),
  /** `simulated` or `real`: every price is shown with this label. */
  FANFARE_QUOTES_KIND: v.optional(
    v.picklist(["simulated", "real"], "simulated or real"),
    "simulated",
  ),
};
export type QuotesSettings = v.InferOutput<v.ObjectSchema<typeof QUOTES, undefined>>;

export const QuotesEnv = v.object({
  ...PROCESS,
  ...REDIS,
  ...CONSUMER,
  ...QUOTES,
  /** The quote source that streams. */
  FANFARE_QUOTES_STREAMING: v.optional(url("tcp:"), "tcp://127.0.0.1:8793"),
  FANFARE_QUOTES_PORT: v.optional(port, "8794"),
});

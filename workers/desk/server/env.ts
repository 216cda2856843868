/** The settings of a desk server. */
import * as v from "valibot";
import { AUDIT_STORE, CONSUMER, DESK, port, PROCESS, REDIS, text } from "../../runtime/env.ts";
import { QUOTES } from "../quotes/env.ts";

export const DeskEnv = v.object({
  ...PROCESS,
  ...REDIS,
  ...CONSUMER,
  ...AUDIT_STORE,
  ...QUOTES,
  FANFARE_DESK_TOKEN: DESK.FANFARE_DESK_TOKEN,
  /**
   * Lines a second that a desk server accepts for each user from senders for that user
   * alone, counted over four seconds.
   */
  FANFARE_DESK_LINES_PER_SECOND: v.optional(
    v.pipe(text, v.regex(/^[1-9]\d{0,6}$/, "a whole number above zero"), v.transform(Number)),
    "1000",
  ),
  FANFARE_DESK_PORT: v.optional(port, "8791"),
  /**
   * How long a pending order of the desk is valid. A run whose results must not depend on
   * its speed sets it high.
   */
  FANFARE_DESK_PENDING_MS: v.optional(
    v.pipe(text, v.regex(/^[1-9]\d{0,11}$/, "milliseconds"), v.transform(Number)),
    "60000",
  ),
});
export type DeskSettings = v.InferOutput<typeof DeskEnv>;

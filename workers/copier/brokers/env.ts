/** The settings that name a broker: the house's own desk, or any other by its name and URL. */
import * as v from "valibot";
import { ID_PATTERN } from "../../../domain/ids.ts";
import { DESK, json, secret, text, url } from "../../runtime/env.ts";

const whole = v.pipe(v.number("a number"), v.safeInteger("a whole number"));

export const BROKER = {
  FANFARE_BROKER: v.optional(v.pipe(text, v.regex(ID_PATTERN, "an id")), "desk"),
  FANFARE_BROKER_URL: v.optional(url("http:", "https:")),
  FANFARE_BROKER_TOKEN: v.optional(secret(v.pipe(text, v.minLength(1, "a token")))),
  /** What that broker guarantees. A guarantee that is not named counts as not given. */
  FANFARE_BROKER_CAPABILITIES: v.optional(
    v.pipe(
      json('JSON such as {"deduplicates":"account"}'),
      v.strictObject({
        deduplicates: v.optional(v.picklist(["none", "open-orders", "ten-minutes", "account"])),
        lookUp: v.optional(v.picklist(["authoritative", "hint"])),
        validUntil: v.optional(v.picklist(["enforced", "ignored"])),
        inFlightMs: v.optional(v.pipe(whole, v.minValue(0, "at least 0"))),
        ordersPerAccount: v.optional(
          v.pipe(whole, v.minValue(1, "at least 1"), v.maxValue(100, "at most 100")),
        ),
        closes: v.optional(v.literal("once")),
      }),
    ),
  ),
  ...DESK,
  FANFARE_DESK_TOKEN: v.optional(DESK.FANFARE_DESK_TOKEN),
};

export type BrokerSettings = v.InferOutput<v.ObjectSchema<typeof BROKER, undefined>>;

/** Without a broker's URL the broker is the desk, which needs a token. */
export function namesBroker(
  settings: Pick<BrokerSettings, "FANFARE_BROKER_URL" | "FANFARE_DESK_TOKEN">,
): boolean {
  return settings.FANFARE_BROKER_URL !== undefined || settings.FANFARE_DESK_TOKEN !== undefined;
}
export const NO_BROKER = "FANFARE_DESK_TOKEN is required where FANFARE_BROKER_URL is not set";

/** The fields that several operations use; each message completes the sentence "the field …". */
import * as v from "valibot";
import { ID_PATTERN } from "../domain/ids.ts";
import { MAX_AMOUNT_CENTS } from "../domain/money.ts";
import { SYMBOL_PATTERN } from "../domain/instrument.ts";

/** The last millisecond of the year 9999. */
const MAX_TIME_MS = 253_402_300_799_999;

export const wholeNumber = (min: number, max: number) => {
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

/** As `matching`; an empty text counts as absent. */
export const orEmpty = (pattern: RegExp, message: string) =>
  matching(new RegExp(`^$|${pattern.source}`), message);

export const text = (max: number) => {
  const message = `must be a text of 1 to ${max} characters`;
  return v.pipe(v.string(message), v.minLength(1, message), v.maxLength(max, message));
};

export const visible = (max: number) =>
  matching(
    new RegExp(`^[!-~]{1,${max}}$`),
    `must be 1 to ${max} visible ASCII characters without blanks`,
  );

export const id = matching(ID_PATTERN, "must be 1 to 64 of A-Z a-z 0-9 _ -");
export const symbol = matching(SYMBOL_PATTERN, "must be a symbol such as EUR/USD");
export const amount = wholeNumber(1, MAX_AMOUNT_CENTS);
export const time = wholeNumber(1, MAX_TIME_MS);

/** A time in an answer. */
export const count = v.pipe(v.number(), v.integer(), v.minValue(0));

/**
 * The reply to a command, in the form that is stored until the next one, and as the
 * members of a JSON object. Redis' one thread writes and audits it, so it is short.
 */
import type { Told } from "../../../domain/desk/rules.ts";

/**
 * The first character of the reply to an executed command. A refusal's code is stored
 * without it.
 */
export const DONE = "=";
/** A summary is not stored: a repeated command shows the account as it is then. */
export const SUMMARY = "|";

/** The reply to an executed command, with the balance if the user has an account. */
export interface Answered {
  readonly told: Told;
  readonly balanceCents: number | undefined;
}

/** For each member a letter and a value, and a comma. */
export function packReply({ told, balanceCents }: Answered): string {
  const { symbol, shares, priceCents, quoteTimeMs, totalCents, fired } = told;
  let text = "";
  if (symbol !== undefined) text += `s${symbol},`;
  if (shares !== undefined) text += `n${shares},`;
  if (priceCents !== undefined) text += `p${priceCents},`;
  if (quoteTimeMs !== undefined) text += `q${quoteTimeMs},`;
  if (totalCents !== undefined) text += `t${totalCents},`;
  if (fired !== undefined) text += `f${fired},`;
  return balanceCents === undefined ? text : `${text}b${balanceCents},`;
}

/** As they are put into the text of an object: each after a comma. */
export function membersOf({ told, balanceCents }: Answered): string {
  const { symbol, shares, priceCents, quoteTimeMs, totalCents, fired } = told;
  let text = "";
  if (symbol !== undefined) text += `,"symbol":"${symbol}"`;
  if (shares !== undefined) text += `,"shares":${shares}`;
  if (priceCents !== undefined) text += `,"priceCents":${priceCents}`;
  if (quoteTimeMs !== undefined) text += `,"quoteTimeMs":${quoteTimeMs}`;
  if (totalCents !== undefined) text += `,"totalCents":${totalCents}`;
  if (fired !== undefined) text += `,"fired":${fired}`;
  return balanceCents === undefined ? text : `${text},"balanceCents":${balanceCents}`;
}

export function unpackReply(text: string): Answered {
  const told: { -readonly [Name in keyof Told]: Told[Name] } = {};
  let balanceCents: number | undefined;
  for (const part of text.split(",")) {
    const value = part.slice(1);
    const name = NUMBERS.get(part.charAt(0));
    if (name) told[name] = Number(value);
    else if (part.startsWith("s")) told.symbol = value;
    else if (part.startsWith("b")) balanceCents = Number(value);
  }
  return { told, balanceCents };
}

const NUMBERS = new Map<string, Exclude<keyof Told, "symbol">>([
  ["n", "shares"],
  ["p", "priceCents"],
  ["q", "quoteTimeMs"],
  ["t", "totalCents"],
  ["f", "fired"],
]);

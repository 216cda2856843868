/**
 * What a command is answered, as it is remembered, and as the desk server puts
 * it into words. Redis' one thread writes and audits it, so it is short.
 */
import type { Told } from "../domain/desk-rules.ts";
import { expandSummary } from "./desk-summary.ts";

/** Stands before the members of what was done; a refusal's code stands there without it. */
export const DONE = "=";

/** A member is one of these letters and its value; the name stands here as it goes into the text. */
const NAMES: Readonly<Record<string, string>> = {
  s: '"symbol":',
  n: '"shares":',
  p: '"priceCents":',
  q: '"quoteTimeMs":',
  t: '"totalCents":',
  f: '"fired":',
  b: '"balanceCents":',
};

/** What is told of a command that was done, and the balance of whoever has an account. */
export function packReply(told: Told | string, balanceCents: number | undefined): string {
  let text = typeof told === "string" ? told : "";
  if (typeof told !== "string") {
    const { symbol, shares, priceCents, quoteTimeMs, totalCents, fired } = told;
    if (symbol !== undefined) text += `s${symbol},`;
    if (shares !== undefined) text += `n${shares},`;
    if (priceCents !== undefined) text += `p${priceCents},`;
    if (quoteTimeMs !== undefined) text += `q${quoteTimeMs},`;
    if (totalCents !== undefined) text += `t${totalCents},`;
    if (fired !== undefined) text += `f${fired},`;
  } else text += ",";
  return balanceCents === undefined ? text.slice(0, -1) : `${text}b${balanceCents}`;
}

/** The members of a JSON object, of `letter value,letter value…` and, before them, a summary. */
export function expandReply(packed: string): string {
  if (packed === "") return "";
  if (packed.startsWith("|")) {
    const comma = packed.lastIndexOf(",");
    return `${expandSummary(packed.slice(1, comma))},${expandReply(packed.slice(comma + 1))}`;
  }
  let members = "";
  for (let start = 0; start < packed.length;) {
    const comma = packed.indexOf(",", start);
    const end = comma < 0 ? packed.length : comma;
    const value = packed.slice(start + 1, end);
    const letter = packed.charAt(start);
    members += `${start === 0 ? "" : ","}${NAMES[letter]}${letter === "s" ? `"${value}"` : value}`;
    start = end + 1;
  }
  return members;
}

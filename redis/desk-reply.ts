/**
 * What a command is answered, as the script writes it and the desk server puts
 * it into words. A reply is made, remembered, audited and sent by Redis' one
 * thread, and read by a server, of which there may be several: so it is short.
 */
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

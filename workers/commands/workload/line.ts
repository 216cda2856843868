/**
 * A line of a workload file as it is sent: numbered by its place in the file, so that it is
 * executed once, however often it is sent, and with its user, whose commands stay in order.
 */
import { isBlank, MAX_LINE_BYTES } from "../../../domain/desk/command.ts";

export interface WorkloadLine {
  /** Its place among the non-blank lines of the file, from 1. */
  readonly n: number;
  readonly name: string;
  /** Empty if it names none: the line waits for all before it, and all after it wait for it. */
  readonly user: string;
  readonly text: string;
}

const NUMBERING = /^(?:\$ )?(?:\[[^\]]*\] *)?(?:\$ )?/;
/**
 * Longer than any line that a desk takes: a line that is cut to this is still refused for its
 * length.
 */
const LONGEST = 2 * MAX_LINE_BYTES;

/** Undefined for a blank line, which gets no number. */
export function workloadLine(raw: string, n: number): WorkloadLine | undefined {
  if (isBlank(raw)) return undefined;
  const line = raw.length > LONGEST ? raw.slice(0, LONGEST) : raw.trimEnd();
  const command = line.replace(NUMBERING, "");
  const [name = "", first = "", second] = command.split(",", 3);
  const user = name === "DUMPLOG" && second === undefined ? "" : first;
  return { n, name, user, text: `[${n}] ${command}` };
}

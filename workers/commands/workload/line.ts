/**
 * A line of a workload file as it is sent: numbered by its place in the file,
 * so that it is done once however often it is sent, and under the user whose
 * commands it must stay in order with.
 */
import { isBlank, MAX_LINE_BYTES } from "../../../domain/desk/command.ts";

export interface WorkloadLine {
  /** Its place among the lines of the file that say something, from 1. */
  readonly n: number;
  readonly name: string;
  /** Empty where it names none: it comes after all before it, and before all after it. */
  readonly user: string;
  readonly text: string;
}

const NUMBERING = /^(?:\$ )?(?:\[[^\]]*\] *)?(?:\$ )?/;
/** Longer than any line that a desk takes: what is cut to this is refused for its length either way. */
const LONGEST = 2 * MAX_LINE_BYTES;

/** Undefined for a line that says nothing, which takes no number. */
export function workloadLine(raw: string, n: number): WorkloadLine | undefined {
  if (isBlank(raw)) return undefined;
  const line = raw.length > LONGEST ? raw.slice(0, LONGEST) : raw.trimEnd();
  const command = line.replace(NUMBERING, "");
  const [name = "", first = "", second] = command.split(",", 3);
  const user = name === "DUMPLOG" && second === undefined ? "" : first;
  return { n, name, user, text: `[${n}] ${command}` };
}

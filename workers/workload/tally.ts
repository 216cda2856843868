/** What became of the lines: counts by command, errors by reason, latencies. */
import { DESK_COMMANDS, QUOTED_COMMANDS, type DeskCommandName } from "../../domain/desk-command.ts";
import { Latencies } from "./latencies.ts";

export interface CommandCount {
  answered: number;
  refused: number;
}

const KNOWN: ReadonlySet<string> = new Set(DESK_COMMANDS);
/** Whatever else a file holds in the place of a command counts together. */
const OTHER = "(other)";

export class Tally {
  readonly commands = new Map<string, CommandCount>();
  readonly refusals = new Map<string, number>();
  readonly latencies = new Latencies();
  /** Of the commands that are done without a quote. */
  readonly unquoted = new Latencies();
  answered = 0;
  refused = 0;

  /** `code` is the refusal's, or empty. */
  add(name: string, code: string, latencyMs: number): void {
    const known = KNOWN.has(name) ? name : OTHER;
    let count = this.commands.get(known);
    if (!count) {
      count = { answered: 0, refused: 0 };
      this.commands.set(known, count);
    }
    count.answered += 1;
    this.answered += 1;
    this.latencies.add(latencyMs);
    if (!QUOTED_COMMANDS.has(name as DeskCommandName)) this.unquoted.add(latencyMs);
    if (code === "") return;
    count.refused += 1;
    this.refused += 1;
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
  }
}

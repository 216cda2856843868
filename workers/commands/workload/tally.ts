/** What became of the lines: counts by command, errors by reason, latencies. */
import { DESK_COMMANDS, QUOTED_COMMANDS } from "../../../domain/desk/command.ts";
import { Latencies } from "./latencies.ts";

export interface CommandCount {
  readonly latencies: Latencies;
  answered: number;
  refused: number;
}

/** Whatever else a file holds in the place of a command counts together. */
const OTHER = "(other)";

export class Tally {
  /** Of the commands that are done at a quote, and of those that are done without one. */
  readonly quoted = new Latencies();
  readonly unquoted = new Latencies();
  readonly refusals = new Map<string, number>();
  answered = 0;
  refused = 0;
  readonly #counts: ReadonlyMap<string, CommandCount>;
  readonly #other = this.#newCount(this.unquoted);

  constructor() {
    this.#counts = new Map(
      DESK_COMMANDS.map((name) => [
        name,
        this.#newCount(QUOTED_COMMANDS.has(name) ? this.quoted : this.unquoted),
      ]),
    );
  }

  /** Those that came at all, by name. */
  get commands(): readonly (readonly [name: string, count: CommandCount])[] {
    return [...this.#counts, [OTHER, this.#other] as const].filter(
      ([, { answered }]) => answered > 0,
    );
  }

  /** Where a command of this name is counted: looked up once for each line. */
  countOf(name: string): CommandCount {
    return this.#counts.get(name) ?? this.#other;
  }

  /** `code` is the refusal's, or empty. */
  add(count: CommandCount, code: string, latencyMs: number): void {
    count.answered += 1;
    count.latencies.add(latencyMs);
    this.answered += 1;
    if (code === "") return;
    count.refused += 1;
    this.refused += 1;
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
  }

  #newCount(latencies: Latencies): CommandCount {
    return { latencies, answered: 0, refused: 0 };
  }
}

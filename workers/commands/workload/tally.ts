/** The results of the lines: counts by command, errors by reason, latencies. */
import { DESK_COMMANDS, QUOTED_COMMANDS } from "../../../domain/desk/command.ts";
import { Latencies } from "./latencies.ts";

export interface CommandCount {
  readonly latencies: Latencies;
  answered: number;
  refused: number;
}

/** All unknown commands of a file are counted together. */
const OTHER = "(other)";

export class Tally {
  /** The latencies of commands that need a quote, and of those that need none. */
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

  /** The commands that occurred, by name. */
  get commands(): readonly (readonly [name: string, count: CommandCount])[] {
    return [...this.#counts, [OTHER, this.#other] as const].filter(
      ([, { answered }]) => answered > 0,
    );
  }

  /** The counter of a command; it is looked up once for each line. */
  countOf(name: string): CommandCount {
    return this.#counts.get(name) ?? this.#other;
  }

  /** `code` is the refusal's code, or empty. */
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

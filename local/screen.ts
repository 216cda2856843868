/**
 * The terminal's output: one status line for each process, redrawn in place if that is possible,
 * and messages above them.
 */
import type { Status } from "./process.ts";

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export class Screen {
  readonly #out: Output;
  #statuses: readonly Status[] = [];
  #drawn = 0;
  /** The last printed line of each process, if lines cannot be redrawn. */
  readonly #printed = new Map<string, string>();

  constructor(out: Output) {
    this.#out = out;
  }

  say(text: string): void {
    this.#clear();
    this.#out.write(`${text}\n`);
    this.#draw();
  }

  show(statuses: readonly Status[]): void {
    this.#statuses = statuses;
    if (this.#out.isTTY) {
      this.#clear();
      this.#draw();
      return;
    }
    for (const status of statuses) {
      const line = formatLine(status);
      if (status.state === "starting" && status.pid === undefined) continue;
      if (this.#printed.get(status.name) === line) continue;
      this.#printed.set(status.name, line);
      this.#out.write(`${line}\n`);
    }
  }

  #clear(): void {
    if (this.#drawn > 0) this.#out.write(`\u001B[${this.#drawn}A\u001B[J`);
    this.#drawn = 0;
  }

  #draw(): void {
    if (!this.#out.isTTY) return;
    // A wrapped line would be two lines, and the next redraw would begin one too low. (Some
    // terminals report no columns.)
    const width = (this.#out.columns || 80) - 1;
    for (const status of this.#statuses) this.#out.write(`${formatLine(status).slice(0, width)}\n`);
    this.#drawn = this.#statuses.length;
  }
}

function formatLine({ name, state, pid, restarts, sinceMs }: Status): string {
  const since = new Date(sinceMs).toTimeString().slice(0, 8);
  return [
    `  ${name.padEnd(10)}`,
    state.padEnd(8),
    `pid ${String(pid ?? "-").padEnd(8)}`,
    `restarts ${String(restarts).padEnd(4)}`,
    `since ${since}`,
  ].join("  ");
}

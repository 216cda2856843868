/**
 * A progress bar on standard error for a run of more than a second, redrawn in place on a terminal.
 */
const SHOWN_AFTER_MS = 1_000;
/** If it cannot be redrawn, a line is printed each time that this much more is done. */
const LINE_EVERY = 0.1;
const WIDTH = 30;

export class Progress {
  readonly #out: NodeJS.WriteStream;
  readonly #startedAtMs = performance.now();
  #drawn = false;
  #printed = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  show(share: number, answered: number): void {
    const tookMs = performance.now() - this.#startedAtMs;
    if (tookMs < SHOWN_AFTER_MS) return;
    const full = Math.round(share * WIDTH);
    const bar = "█".repeat(full) + "░".repeat(WIDTH - full);
    const perSecond = Math.round((answered * 1_000) / tookMs);
    const line = `${bar} ${Math.floor(share * 100)} %  ${answered.toLocaleString("en")} replies  ${perSecond.toLocaleString("en")}/s`;
    if (this.#out.isTTY) {
      this.#out.write(`\r\u001B[K${line}`);
      this.#drawn = true;
    } else if (share - this.#printed >= LINE_EVERY) {
      this.#printed = share;
      this.#out.write(`${line}\n`);
    }
  }

  end(): void {
    if (this.#drawn) this.#out.write("\r\u001B[K");
  }
}

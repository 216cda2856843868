/**
 * The fake broker's own books: one line an order that it booked, appended and
 * never changed, in a file that tests read their verdicts from. A broker that
 * is started again on its file has the same books.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";

export interface BookLine {
  readonly clientOrderId: string;
  readonly account: string;
  readonly stakeCents: number;
  readonly bookedAtMs: number;
  readonly expiresAtMs: number;
  /** What the order said of itself, whether or not this broker cares. */
  readonly validUntilMs: number;
}

/** Every order in the order of booking; the same client order id twice is an order doubled. */
export function readBook(path: string): BookLine[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as BookLine);
}

export class Book {
  readonly #path: string;
  readonly #byId = new Map<string, BookLine[]>();

  constructor(path: string) {
    this.#path = path;
    for (const line of readBook(path)) this.#remember(line);
  }

  /** All that go by an id, oldest first. */
  of(id: string): readonly BookLine[] {
    return this.#byId.get(id) ?? [];
  }

  startingWith(prefix: string): BookLine[] {
    return [...this.#byId].flatMap(([id, lines]) => (id.startsWith(prefix) ? lines : []));
  }

  add(line: BookLine): void {
    // In one write and before any answer, so that a kill leaves whole lines and no answered order out.
    appendFileSync(this.#path, `${JSON.stringify(line)}\n`);
    this.#remember(line);
  }

  #remember(line: BookLine): void {
    this.#byId.set(line.clientOrderId, [...this.of(line.clientOrderId), line]);
  }
}

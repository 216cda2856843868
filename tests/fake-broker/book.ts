/**
 * The fake broker's own books: one line for each booked order and one for each position bought
 * back, appended and never changed, in a file from which tests read their verdicts. A broker that
 * is started again on its file has the same books.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";

export interface BookLine {
  readonly clientOrderId: string;
  readonly account: string;
  readonly stakeCents: number;
  readonly bookedAtMs: number;
  readonly expiresAtMs: number;
  /** The fields of the order, whether or not this broker uses them. */
  readonly validUntilMs: number;
}

/** A position bought back; the same client order id twice is a position sold twice. */
export interface SaleLine {
  readonly sold: string;
  /** The signal that closed it. */
  readonly close: string;
  readonly account: string;
  readonly returnCents: number;
  readonly soldAtMs: number;
}

function readLines(path: string): (BookLine | SaleLine)[] {
  if (!existsSync(path)) return [];
  return (
    readFileSync(path, "utf8")
      .split("\n")
      // The last is empty, or being written.
      .slice(0, -1)
      .map((line) => JSON.parse(line) as BookLine | SaleLine)
  );
}

/** Every order in the order of booking; the same client order id twice is an order doubled. */
export function readBook(path: string): BookLine[] {
  return readLines(path).filter((line) => "clientOrderId" in line);
}

export function readSales(path: string): SaleLine[] {
  return readLines(path).filter((line) => "sold" in line);
}

export class Book {
  readonly #path: string;
  readonly #byId = new Map<string, BookLine[]>();
  readonly #sales = new Map<string, SaleLine[]>();

  constructor(path: string) {
    this.#path = path;
    for (const line of readBook(path)) this.#remember(line);
    for (const line of readSales(path)) this.#rememberSale(line);
  }

  /** All orders with an id, oldest first. */
  of(id: string): readonly BookLine[] {
    return this.#byId.get(id) ?? [];
  }

  startingWith(prefix: string): BookLine[] {
    return [...this.#byId].flatMap(([id, lines]) => (id.startsWith(prefix) ? lines : []));
  }

  add(line: BookLine): void {
    // In one write and before any answer, so that after a kill all lines are complete and no
    // answered order is missing.
    appendFileSync(this.#path, `${JSON.stringify(line)}\n`);
    this.#remember(line);
  }

  salesOf(id: string): readonly SaleLine[] {
    return this.#sales.get(id) ?? [];
  }

  addSale(line: SaleLine): void {
    appendFileSync(this.#path, `${JSON.stringify(line)}\n`);
    this.#rememberSale(line);
  }

  #rememberSale(line: SaleLine): void {
    this.#sales.set(line.sold, [...this.salesOf(line.sold), line]);
  }

  #remember(line: BookLine): void {
    this.#byId.set(line.clientOrderId, [...this.of(line.clientOrderId), line]);
  }
}

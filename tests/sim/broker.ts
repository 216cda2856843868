/**
 * A broker with its own book, from which the verdict is read, and a network in front of it that
 * delays calls, loses them or loses their answers. The seed chooses what it de-duplicates, looks up
 * and enforces.
 */
import type { ClientOrderId } from "../../domain/ids.ts";
import type {
  Answered,
  BookedOrder,
  Broker,
  BrokerAnswer,
  Busy,
  Capabilities,
  CloseAnswer,
  CloseBatch,
  CloseLookUp,
  LookUp,
  OrderBatch,
} from "../../workers/copier/brokers/port.ts";
import type { Random } from "./random.ts";
import type { Process, Scheduler } from "./scheduler.ts";

/** After this time a worker treats a call as unanswered, as with the desk. */
const CALL_TIMEOUT_MS = 2_000;
const PAYOUT_BP = 8_000;
const BALANCE_CENTS = 1_000_000;
const TEN_MINUTES_MS = 600_000;

/** How often, in a hundred calls, each thing goes wrong. */
export interface BrokerFaults {
  readonly lost: number;
  readonly answerLost: number;
  readonly held: number;
  readonly busy: number;
}

export interface Booked extends BookedOrder {
  readonly validUntilMs: number;
  readonly closesAtMs: number;
}

/** A position bought back. */
export interface Sold {
  readonly clientOrderId: ClientOrderId;
  readonly close: string;
  readonly atMs: number;
}

/** One open as a worker sent it. */
export interface Sent {
  readonly atMs: number;
  readonly batch: OrderBatch;
}

const UNANSWERED = { kind: "unanswered" } as const;

export class SimulatedBroker {
  readonly capabilities: Capabilities;
  readonly book: Booked[] = [];
  readonly sent: Sent[] = [];
  readonly sales: Sold[] = [];
  faults: BrokerFaults = { lost: 0, answerLost: 0, held: 0, busy: 0 };
  /** Refuses every connection until then. */
  deadUntilUs = 0;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #trace: (text: string) => void;

  constructor(
    scheduler: Scheduler,
    random: Random,
    capabilities: Capabilities,
    trace: (text: string) => void,
  ) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.capabilities = capabilities;
    this.#trace = trace;
  }

  /** The broker as one worker calls it. */
  connect(process: Process): Broker {
    return {
      name: "desk",
      capabilities: this.capabilities,
      open: (batch) => {
        this.sent.push({ atMs: this.#scheduler.nowMs(), batch });
        return this.#call<Answered<readonly BrokerAnswer[]> | Busy>(process, "open", () => {
          if (this.#happens("busy")) return { kind: "busy", retryAfterMs: 50 };
          return { kind: "answered", answers: this.#open(batch) };
        });
      },
      lookUp: (batch) =>
        this.#call<Answered<readonly LookUp[]>>(process, "look up", () => ({
          kind: "answered",
          answers: batch.orders.map(({ clientOrderId }) => this.#lookUp(clientOrderId, batch)),
        })),
      close: (batch) =>
        this.#call<Answered<readonly CloseAnswer[]> | Busy>(process, "close", () => {
          if (this.#happens("busy")) return { kind: "busy", retryAfterMs: 50 };
          return { kind: "answered", answers: this.#close(batch) };
        }),
      findClosed: (batch) =>
        this.#call<Answered<readonly CloseLookUp[]>>(process, "find closed", () => ({
          kind: "answered",
          answers: batch.orders.map(({ clientOrderId }) => this.#findClosed(clientOrderId, batch)),
        })),
      list: (signal) =>
        this.#call<Answered<readonly BookedOrder[]>>(process, "list", () => ({
          kind: "answered",
          answers: this.book.filter(({ clientOrderId }) => clientOrderId.startsWith(`${signal}.`)),
        })),
      balances: (accounts) =>
        this.#call<Answered<readonly number[]>>(process, "balances", () => ({
          kind: "answered",
          answers: accounts.map(() => BALANCE_CENTS),
        })),
      payoutsBp: (symbols) =>
        this.#call<Answered<readonly number[]>>(process, "payouts", () => ({
          kind: "answered",
          answers: symbols.map(() => PAYOUT_BP),
        })),
      settlements: () => Promise.reject(new Error("settlements are not simulated")),
    };
  }

  #happens(fault: keyof BrokerFaults): boolean {
    return this.#random.chance(this.faults[fault] / 100);
  }

  /** The way there, the execution and the way back; the caller waits at most for its time limit. */
  #call<T extends { kind: string }>(
    process: Process,
    what: string,
    serve: () => T,
  ): Promise<T | typeof UNANSWERED> {
    const scheduler = this.#scheduler;
    const random = this.#random;
    let there = random.between(200, 4_000);
    // A delayed call arrives after its caller has given up, but within the broker's in-flight time.
    if (this.#happens("held")) there += random.between(10_000, 3_000_000);
    const isLost = this.#happens("lost");
    const isAnswerLost = this.#happens("answerLost");
    const sentAtUs = scheduler.nowUs;
    return new Promise((resolve) => {
      let isOver = false;
      const end = (atUs: number, reply: T | typeof UNANSWERED): void => {
        process.step(atUs, () => {
          if (isOver) return;
          isOver = true;
          resolve(reply);
        });
      };
      end(sentAtUs + CALL_TIMEOUT_MS * 1_000, UNANSWERED);
      scheduler.at(sentAtUs + there, () => {
        if (isLost || scheduler.nowUs < this.deadUntilUs) {
          end(scheduler.nowUs + random.between(100, 1_000), UNANSWERED);
          return;
        }
        const reply = serve();
        this.#trace(`broker ${what} for ${process.name}: ${JSON.stringify(reply)}`);
        const back = scheduler.nowUs + random.between(200, 4_000);
        end(back, isAnswerLost ? UNANSWERED : reply);
      });
    });
  }

  #open(batch: OrderBatch): BrokerAnswer[] {
    const nowMs = this.#scheduler.nowMs();
    return batch.orders.map(({ clientOrderId, account, stakeCents }): BrokerAnswer => {
      const known = this.book.find((each) => this.#isSame(each, clientOrderId, nowMs));
      if (known) return placed(known);
      if (this.capabilities.validUntil === "enforced" && nowMs > batch.validUntilMs) {
        return { kind: "rejected", stakeCents, reason: "PAST_VALID_UNTIL" };
      }
      const booked: Booked = {
        clientOrderId,
        account,
        stakeCents,
        openedAtMs: nowMs,
        validUntilMs: batch.validUntilMs,
        closesAtMs: nowMs + batch.durationSeconds * 1_000,
      };
      this.book.push(booked);
      return placed(booked);
    });
  }

  /** Whether the broker recognises an order of this id as one that it has booked. */
  #isSame(booked: Booked, id: ClientOrderId, nowMs: number): boolean {
    if (booked.clientOrderId !== id) return false;
    const { deduplicates } = this.capabilities;
    if (deduplicates === "open-orders") return nowMs < booked.closesAtMs;
    if (deduplicates === "ten-minutes") return nowMs < booked.openedAtMs + TEN_MINUTES_MS;
    return deduplicates === "account";
  }

  /**
   * If the broker does not guarantee that a close takes effect once, it takes effect each time it
   * arrives.
   */
  #close(batch: CloseBatch): CloseAnswer[] {
    const nowMs = this.#scheduler.nowMs();
    return batch.orders.map(({ clientOrderId }): CloseAnswer => {
      const booked = this.book.find((each) => each.clientOrderId === clientOrderId);
      if (this.capabilities.closes === "once") {
        const sale = this.sales.find((each) => each.clientOrderId === clientOrderId);
        if (sale && booked && sale.close === batch.close) return closed(booked, sale);
        if (sale) return { kind: "not-open" };
      }
      if (!booked || nowMs >= booked.closesAtMs) return { kind: "not-open" };
      const sale = { clientOrderId, close: batch.close, atMs: nowMs };
      this.sales.push(sale);
      return closed(booked, sale);
    });
  }

  #findClosed(id: ClientOrderId, { close }: CloseBatch): CloseLookUp {
    const booked = this.book.find((each) => each.clientOrderId === id);
    const sale = this.sales.find((each) => each.clientOrderId === id);
    // A hint misses existing orders.
    if (this.capabilities.lookUp === "hint" && this.#random.chance(0.3)) return { kind: "open" };
    if (booked && sale && sale.close === close) return closed(booked, sale);
    const isOpen = booked && !sale && this.#scheduler.nowMs() < booked.closesAtMs;
    return { kind: isOpen ? "open" : "not-open" };
  }

  #lookUp(id: ClientOrderId, batch: OrderBatch): LookUp {
    const booked = this.book.find((each) => each.clientOrderId === id);
    const { lookUp, validUntil } = this.capabilities;
    // A hint overlooks what is there.
    if (booked && (lookUp === "authoritative" || this.#random.chance(0.7))) return placed(booked);
    const isCertain = lookUp === "authoritative" && validUntil === "enforced";
    if (isCertain && this.#scheduler.nowMs() > batch.validUntilMs) return { kind: "absent" };
    return { kind: "pending" };
  }
}

function closed({ stakeCents }: Booked, { atMs }: Sold): CloseAnswer & { kind: "closed" } {
  const price = { closePriceMicros: 1_000_000, closedAtMs: atMs };
  return { kind: "closed", stakeCents, returnCents: stakeCents, ...price };
}

function placed({ stakeCents, openedAtMs, closesAtMs }: Booked): BrokerAnswer {
  const price = { openPriceMicros: 1_000_000, openedAtMs, expiresAtMs: closesAtMs };
  return { kind: "placed", stakeCents, ...price };
}

/**
 * Binary contracts as plainly as they can be written, over maps in memory: what
 * the desk's scripts are compared with. Production does not import it.
 */
import { shareOf } from "../../domain/money.ts";
import type { ContractType, SettlementKind } from "../../domain/products/binary.ts";
import type { RefusalReason } from "../../workers/venues/desk/api.ts";

export function settle(
  contract: ContractType,
  openPriceMicros: number,
  closePriceMicros: number,
): "won" | "lost" {
  const won =
    contract === "CALL" ? closePriceMicros > openPriceMicros : closePriceMicros < openPriceMicros;
  return won ? "won" : "lost";
}

/** What comes back to the account: stake and payout, nothing, or the stake of a void contract. */
export function returnCents(
  kind: Exclude<SettlementKind, "sold">,
  stakeCents: number,
  payoutBp: number,
): number {
  if (kind === "lost") return 0;
  return kind === "void" ? stakeCents : stakeCents + shareOf(stakeCents, payoutBp);
}

const WHOLE_BP = 10_000;

/** What the house pays for a contract before it expires, in basis points of what a win would return. */
export function saleShareBp(isInTheMoney: boolean, leftMs: number, durationMs: number): number {
  const uncertainBp = Math.floor((leftMs * WHOLE_BP) / (2 * durationMs));
  return isInTheMoney ? WHOLE_BP - uncertainBp : uncertainBp;
}

/** What comes back for a contract that is sold while `leftMs` of its `durationMs` are left. */
export function saleCents(
  contract: { readonly stakeCents: number; readonly payoutBp: number },
  isInTheMoney: boolean,
  leftMs: number,
  durationMs: number,
): number {
  const wonCents = returnCents("won", contract.stakeCents, contract.payoutBp);
  return shareOf(wonCents, saleShareBp(isInTheMoney, leftMs, durationMs));
}

export interface ModelContract {
  readonly name: string;
  readonly account: string;
  readonly stakeCents: number;
  readonly contract: ContractType;
  readonly payoutBp: number;
  readonly openPriceMicros: number;
  readonly openedAtMs: number;
  readonly expiresAtMs: number;
  state: "open" | SettlementKind;
  returnCents: number;
}

export interface ModelOrder {
  readonly name: string;
  readonly account: string;
  readonly stakeCents: number;
}

export interface ModelTerms {
  readonly contract: ContractType;
  readonly payoutBp: number;
  readonly durationMs: number;
  readonly validUntilMs: number;
}

interface Tick {
  readonly priceMicros: number;
  readonly sourceTimeMs: number;
}

const QUOTE_VALID_MS = 1_000;
const VOID_AFTER_MS = 60_000;
const TICKS_KEPT_MS = 600_000;

/** Accounts and contracts on one symbol. */
export class ContractModel {
  readonly balances = new Map<string, number>();
  readonly contracts = new Map<string, ModelContract>();
  #quote: Tick | undefined;
  #ticks: Tick[] = [];

  quote(tick: Tick): void {
    const isNewer = !this.#quote || tick.sourceTimeMs > this.#quote.sourceTimeMs;
    if (isNewer) this.#quote = tick;
    const keptFromMs = (this.#quote?.sourceTimeMs ?? 0) - TICKS_KEPT_MS;
    this.#ticks = [...this.#ticks, tick].filter(({ sourceTimeMs }) => sourceTimeMs >= keptFromMs);
  }

  /** Answers in the order of the orders. */
  open(
    nowMs: number,
    orders: readonly ModelOrder[],
    { validUntilMs, durationMs, ...terms }: ModelTerms,
  ): ("opened" | RefusalReason)[] {
    const known = new Set(this.contracts.keys());
    return orders.map(({ name, account, stakeCents }) => {
      if (known.has(name)) return "opened";
      if (nowMs > validUntilMs) return "PAST_VALID_UNTIL";
      const quote = this.#freshQuote(nowMs);
      if (!quote) return "QUOTE_STALE";
      const balanceCents = this.balances.get(account);
      if (balanceCents === undefined) return "ACCOUNT_UNKNOWN";
      if (balanceCents < stakeCents) return "BALANCE_TOO_LOW";
      this.balances.set(account, balanceCents - stakeCents);
      this.contracts.set(name, {
        ...terms,
        name,
        account,
        stakeCents,
        openPriceMicros: quote.priceMicros,
        openedAtMs: nowMs,
        expiresAtMs: nowMs + durationMs,
        state: "open",
        returnCents: 0,
      });
      return "opened";
    });
  }

  sell(nowMs: number, names: readonly string[]): void {
    const quote = this.#freshQuote(nowMs);
    for (const name of names) {
      const each = this.contracts.get(name);
      if (!quote || each?.state !== "open" || nowMs >= each.expiresAtMs) continue;
      const isInTheMoney = settle(each.contract, each.openPriceMicros, quote.priceMicros) === "won";
      const { openedAtMs, expiresAtMs } = each;
      const cents = saleCents(each, isInTheMoney, expiresAtMs - nowMs, expiresAtMs - openedAtMs);
      this.#end(each, "sold", cents);
    }
  }

  settleDue(nowMs: number): void {
    for (const each of this.contracts.values()) {
      if (each.state !== "open" || nowMs < each.expiresAtMs) continue;
      const tick = this.#firstTick(each.expiresAtMs);
      if (!tick && nowMs < each.expiresAtMs + VOID_AFTER_MS) continue;
      const kind = tick ? settle(each.contract, each.openPriceMicros, tick.priceMicros) : "void";
      this.#end(each, kind, returnCents(kind, each.stakeCents, each.payoutBp));
    }
  }

  #end(contract: ModelContract, state: SettlementKind, cents: number): void {
    contract.state = state;
    contract.returnCents = cents;
    this.balances.set(contract.account, (this.balances.get(contract.account) ?? 0) + cents);
  }

  #freshQuote(nowMs: number): Tick | undefined {
    const quote = this.#quote;
    return quote && nowMs - quote.sourceTimeMs <= QUOTE_VALID_MS ? quote : undefined;
  }

  /** Of two with one time the one whose price comes first as a text, on every server alike. */
  #firstTick(expiresAtMs: number): Tick | undefined {
    return this.#ticks
      .filter(({ sourceTimeMs: at }) => at >= expiresAtMs && at <= expiresAtMs + VOID_AFTER_MS)
      .toSorted(
        (a, b) =>
          a.sourceTimeMs - b.sourceTimeMs ||
          (String(a.priceMicros) < String(b.priceMicros) ? -1 : 1),
      )[0];
  }
}

/** What DISPLAY_SUMMARY shows of an account, beside its free balance. */
import type { Account, Order, Position } from "./account.ts";

export interface PendingOrder {
  readonly symbol: string;
  readonly shares: number;
  readonly priceCents: number;
  /** Epoch milliseconds by the desk's clock. */
  readonly expiresAtMs: number;
}

export interface WaitingTrigger {
  readonly symbol: string;
  readonly amountCents: number;
  /** Null while only the amount is set. */
  readonly priceCents: number | null;
  /** For a sell: the shares that are reserved for it. */
  readonly shares?: number;
}

export interface AccountChange {
  readonly transaction: number;
  readonly command: string;
  readonly symbol: string | null;
  readonly cents: number;
  readonly shares: number;
  readonly atMs: number;
}

export interface DeskSummary {
  readonly reservedCents: number;
  readonly holdings: readonly {
    readonly symbol: string;
    readonly shares: number;
    readonly reservedShares: number;
  }[];
  /** Newest first: a commit or a cancel applies to the first. */
  readonly pendingBuys: readonly PendingOrder[];
  readonly pendingSells: readonly PendingOrder[];
  readonly buyTriggers: readonly WaitingTrigger[];
  readonly sellTriggers: readonly WaitingTrigger[];
  /** Newest first. */
  readonly history: readonly AccountChange[];
}

/**
 * The input of a summary: the account, its positions in the order of their first trade,
 * and its latest changes.
 */
export interface Summed extends Pick<Account, "buys" | "sells"> {
  readonly positions: Iterable<{ readonly symbol: string; readonly position: Position }>;
  readonly history: readonly AccountChange[];
}

export function summaryOf(
  { positions, buys, sells, history }: Summed,
  { atMs, pendingValidMs }: { readonly atMs: number; readonly pendingValidMs: number },
): DeskSummary {
  const holdings: DeskSummary["holdings"][number][] = [];
  const buyTriggers: WaitingTrigger[] = [];
  const sellTriggers: WaitingTrigger[] = [];
  let reservedCents = 0;
  for (const { symbol, position } of positions) {
    const { shares, reservedShares, buyCents, sellCents } = position;
    if (shares > 0 || reservedShares > 0) holdings.push({ symbol, shares, reservedShares });
    reservedCents += buyCents;
    if (buyCents > 0) {
      const priceCents = priced(position.buyPriceCents);
      buyTriggers.push({ symbol, amountCents: buyCents, priceCents });
    }
    if (sellCents > 0) {
      const priceCents = priced(position.sellPriceCents);
      sellTriggers.push({ symbol, amountCents: sellCents, priceCents, shares: reservedShares });
    }
  }
  const pending = (orders: readonly Order[]): PendingOrder[] =>
    orders.flatMap(({ symbol, shares, priceCents, atMs: since }) => {
      const expiresAtMs = since + pendingValidMs;
      return expiresAtMs <= atMs ? [] : [{ symbol, shares, priceCents, expiresAtMs }];
    });
  return {
    reservedCents,
    holdings,
    pendingBuys: pending(buys),
    pendingSells: pending(sells),
    buyTriggers,
    sellTriggers,
    history,
  };
}

/** A price of zero means that there is none. */
function priced(cents: number): number | null {
  return cents > 0 ? cents : null;
}

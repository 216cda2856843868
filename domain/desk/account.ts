/** An account of the desk in memory, as its rules read and change it. */

/** No account holds more than this in cents, and no position in shares: all arithmetic stays exact in doubles. */
export const MAX_HELD = 1_000_000_000_000_000;

/** What is held of a symbol, and what is set for its triggers; an amount, price or transaction of zero is none. */
export interface Position {
  /** Free ones. */
  shares: number;
  /** Those that wait for a sell trigger. */
  reservedShares: number;
  /** Taken from the balance for a buy trigger. */
  buyCents: number;
  buyPriceCents: number;
  /** The transaction that set the price. */
  buyTransaction: number;
  sellCents: number;
  sellPriceCents: number;
  sellTransaction: number;
}

/** A buy or a sell that waits for its commit. */
export interface Order {
  readonly symbol: string;
  readonly shares: number;
  readonly priceCents: number;
  readonly atMs: number;
  /** As it is stored, once it has been. */
  row?: string;
}

export interface Account {
  /** Undefined of a user who has never added money. */
  balanceCents: number | undefined;
  /** Newest first, as `sells`. */
  buys: readonly Order[];
  sells: readonly Order[];
  /** The account's own: to be changed, and then kept. */
  position(symbol: string): Position;
  keep(symbol: string): void;
}

export function noPosition(): Position {
  return {
    shares: 0,
    reservedShares: 0,
    buyCents: 0,
    buyPriceCents: 0,
    buyTransaction: 0,
    sellCents: 0,
    sellPriceCents: 0,
    sellTransaction: 0,
  };
}

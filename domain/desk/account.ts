/** An account of the desk in memory, as its rules read and change it. */

/**
 * The most cents in an account and the most shares in a position. Below it all arithmetic
 * is exact in doubles.
 */
export const MAX_HELD = 1_000_000_000_000_000;

/**
 * The shares of a symbol and what is reserved for its triggers. An amount, price or
 * transaction of zero means that there is none.
 */
export interface Position {
  /** Free shares. */
  shares: number;
  /** Shares reserved for a sell trigger. */
  reservedShares: number;
  /** Cents taken from the balance for a buy trigger. */
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
  /** The stored text of the order, once it was stored. */
  row?: string;
}

export interface Account {
  /** Undefined if the user has never added money. */
  balanceCents: number | undefined;
  /** Newest first, as `sells`. */
  buys: readonly Order[];
  sells: readonly Order[];
  /** The account's own position. The caller may change it and must then store it. */
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

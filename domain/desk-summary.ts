/** What DISPLAY_SUMMARY shows of an account beside its free balance. */

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
  /** Of a sell: the shares that are reserved for it. */
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
  /** Newest first: the first is what a commit or a cancel is about. */
  readonly pendingBuys: readonly PendingOrder[];
  readonly pendingSells: readonly PendingOrder[];
  readonly buyTriggers: readonly WaitingTrigger[];
  readonly sellTriggers: readonly WaitingTrigger[];
  /** Newest first. */
  readonly history: readonly AccountChange[];
}

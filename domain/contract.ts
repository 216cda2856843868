/** A binary option's end: strict rise or fall wins, a standstill is a loss for both. */
import { shareOf } from "./money.ts";
import type { ContractType } from "./signal.ts";

export const SETTLEMENT_KINDS = ["won", "lost", "void"] as const;
export type SettlementKind = (typeof SETTLEMENT_KINDS)[number];

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
export function returnCents(kind: SettlementKind, stakeCents: number, payoutBp: number): number {
  if (kind === "lost") return 0;
  return kind === "void" ? stakeCents : stakeCents + shareOf(stakeCents, payoutBp);
}

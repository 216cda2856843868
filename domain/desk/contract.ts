/** A binary option's end: strict rise or fall wins, a standstill is a loss for both; before it, it can be sold back. */
import { shareOf } from "../money.ts";
import type { ContractType, SettlementKind } from "../products/binary.ts";

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

/**
 * What the house pays for a contract before it expires, in basis points of what
 * a win would return. This is the house's rule: at the start it is half, as if
 * a coin were to decide; from there it goes to the whole where the contract is
 * in the money, and to nothing where it is not, in step with the time.
 */
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

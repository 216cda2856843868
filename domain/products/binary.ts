/**
 * The binary option: will the symbol's price be strictly higher (CALL) or lower (PUT) when the
 * duration is over? The copier and the desk share these terms.
 */

export const CONTRACT_TYPES = ["CALL", "PUT"] as const;
export type ContractType = (typeof CONTRACT_TYPES)[number];

export const MIN_DURATION_SECONDS = 1;
export const MAX_DURATION_SECONDS = 86_400;

/**
 * How a contract ends: by its price at expiry, without a usable price (`void`), or sold back before
 * expiry (`sold`).
 */
export const SETTLEMENT_KINDS = ["won", "lost", "void", "sold"] as const;
export type SettlementKind = (typeof SETTLEMENT_KINDS)[number];

/**
 * Bearer tokens: JWT signed with EdDSA by one of the issuer's published keys,
 * for this audience, with an expiry of at most twelve hours from now.
 */
import { createLocalJWKSet, errors, jwtVerify, type JSONWebKeySet } from "jose";
import { ID_PATTERN, type PersonId } from "../domain/ids.ts";
import { failure, success, type Result } from "../domain/result.ts";
import type { Bearer } from "../http/bearer.ts";

const MAX_LIFETIME_MS = 12 * 60 * 60 * 1000;
const CLOCK_LEEWAY_MS = 60_000;
/** A busy sender sends the same token each time: its signature is checked once. */
const MAX_REMEMBERED = 1_000;

export interface Caller extends Bearer {
  readonly person: PersonId;
  readonly expiresAtMs: number;
  /** As it was sent, to call the records API in the caller's name. Never logged. */
  readonly token: string;
}

export type TokenVerifier = (token: string, nowMs: number) => Promise<Result<Caller>>;

/**
 * The keys are imported once and cached, and so are the last valid tokens: nothing about them
 * changes before they expire.
 */
export function tokenVerifier(issuerKeys: JSONWebKeySet): TokenVerifier {
  const keys = createLocalJWKSet(issuerKeys);
  const remembered = new Map<string, Caller>();
  return async (token, nowMs) => {
    const known = remembered.get(token);
    if (known && known.expiresAtMs > nowMs) return success(known);
    let payload;
    try {
      ({ payload } = await jwtVerify(token, keys, {
        algorithms: ["EdDSA"],
        issuer: "fanfare",
        audience: "fanfare",
        requiredClaims: ["sub", "exp"],
        currentDate: new Date(nowMs),
      }));
    } catch (error) {
      return failure(error instanceof errors.JWTExpired ? "TOKEN_EXPIRED" : "TOKEN_INVALID");
    }
    const expiresAtMs = (payload.exp ?? 0) * 1000;
    const scope = payload["scope"] ?? "";
    if (
      !ID_PATTERN.test(payload.sub ?? "") ||
      typeof scope !== "string" ||
      expiresAtMs > nowMs + MAX_LIFETIME_MS + CLOCK_LEEWAY_MS
    ) {
      return failure("TOKEN_INVALID");
    }
    const caller: Caller = {
      person: payload.sub as PersonId,
      permissions: new Set(scope.split(" ")),
      expiresAtMs,
      token,
    };
    remembered.delete(token);
    remembered.set(token, caller);
    for (const [oldest] of remembered) {
      if (remembered.size <= MAX_REMEMBERED) break;
      remembered.delete(oldest);
    }
    return success(caller);
  };
}

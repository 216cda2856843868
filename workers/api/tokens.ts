/**
 * Bearer tokens: JWT signed with EdDSA by this deployment's issuer key. A person who signs in gets
 * one for at most half a day; every call carries it.
 */
import { calculateJwkThumbprint, errors, importJWK, jwtVerify, SignJWT, type JWK } from "jose";
import { ID_PATTERN, type PersonId } from "../../domain/ids.ts";
import { failure, success, type Result } from "../../domain/result.ts";
import type { Permission } from "../../domain/permission.ts";
import type { Bearer } from "../../http/bearer.ts";

export const SESSION_MS = 12 * 60 * 60 * 1000;
const CLOCK_LEEWAY_MS = 60_000;
const PARTY = "fanfare";

export interface Caller extends Bearer {
  readonly person: PersonId;
}

export interface Tokens {
  issue(
    person: PersonId,
    permissions: readonly Permission[],
  ): Promise<{ readonly token: string; readonly expiresAtMs: number }>;
  verify(token: string): Promise<Result<Caller>>;
}

/** The key is an Ed25519 private JWK; its public half verifies. Throws if it is not one. */
export async function createTokens(key: JWK, clock: () => number): Promise<Tokens> {
  const { d: _, key_ops: __, ...publicHalf } = key;
  const kid = key.kid ?? (await calculateJwkThumbprint(publicHalf));
  const signing = await importJWK(key, "EdDSA");
  const verifying = await importJWK(publicHalf, "EdDSA");

  return {
    async issue(person, permissions) {
      const now = Math.floor(clock() / 1000);
      const expiry = now + SESSION_MS / 1000;
      const token = await new SignJWT({ scope: permissions.join(" ") })
        .setProtectedHeader({ alg: "EdDSA", kid })
        .setIssuer(PARTY)
        .setAudience(PARTY)
        .setSubject(person)
        .setIssuedAt(now)
        .setExpirationTime(expiry)
        .sign(signing);
      return { token, expiresAtMs: expiry * 1000 };
    },

    async verify(token) {
      const nowMs = clock();
      let payload;
      try {
        ({ payload } = await jwtVerify(token, verifying, {
          algorithms: ["EdDSA"],
          issuer: PARTY,
          audience: PARTY,
          requiredClaims: ["sub", "exp"],
          currentDate: new Date(nowMs),
        }));
      } catch (error) {
        return failure(error instanceof errors.JWTExpired ? "TOKEN_EXPIRED" : "TOKEN_INVALID");
      }
      const { sub = "", exp = 0, scope = "" } = payload;
      const tooLong = exp * 1000 > nowMs + SESSION_MS + CLOCK_LEEWAY_MS;
      if (!ID_PATTERN.test(sub) || typeof scope !== "string" || tooLong) {
        return failure("TOKEN_INVALID");
      }
      return success({ person: sub as PersonId, permissions: new Set(scope.split(" ")) });
    },
  };
}

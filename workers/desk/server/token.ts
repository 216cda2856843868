/** The desk's own token: its holder trades for every account and commands every user. */
import { timingSafeEqual } from "node:crypto";
import { failure, success, type Result } from "../../../domain/result.ts";
import type { Bearer } from "../../../http/bearer.ts";

const HOLDER: Bearer = { permissions: new Set(["desk:admin"]) };

export function tokenVerifier(token: string): (shown: string) => Result<Bearer> {
  const wanted = digestOf(token);
  return (shown) =>
    timingSafeEqual(digestOf(shown), wanted) ? success(HOLDER) : failure("TOKEN_INVALID");
}

/** All digests have one length, so a comparison takes the same time for any input. */
function digestOf(text: string): Uint8Array {
  return new Bun.CryptoHasher("sha256").update(text).digest();
}

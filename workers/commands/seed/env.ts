/** The settings of the seed. */
import * as v from "valibot";
import { DESK, REDIS, REGIONS, secret, STORE, text } from "../../runtime/env.ts";

export const SeedEnv = v.object({
  ...REDIS,
  ...REGIONS,
  ...STORE,
  ...DESK,
  /** The key (base64url, 32 bytes) that seals webhook secrets for the edge. */
  FANFARE_SEAL_KEY: secret(v.pipe(text, v.regex(/^[A-Za-z0-9_-]{43}$/, "32 bytes in base64url"))),
  /** The demo provider's password; generated, and stored in FANFARE_DATA, if not set. */
  FANFARE_DEMO_PASSWORD: v.optional(
    secret(v.pipe(text, v.minLength(8, "8 characters or more"), v.maxLength(256, "at most 256"))),
  ),
  /** The secret of the demo hooks; generated, and stored in FANFARE_DATA, if not set. */
  FANFARE_DEMO_HOOK_SECRET: v.optional(
    secret(v.pipe(text, v.regex(/^[A-Za-z0-9_-]{24,128}$/, "24 to 128 of A-Z a-z 0-9 _ -"))),
  ),
});
export type SeedSettings = v.InferOutput<typeof SeedEnv>;

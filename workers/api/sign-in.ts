/**
 * Sign-in by e-mail and password. An unknown e-mail costs as much time as a wrong password, and
 * both are refused alike. Attempts are limited per e-mail, and so is the number of hashes that are
 * computed at once. Each process has its own limits.
 */
import type { PersonRecord, Records } from "../records/port.ts";
import { failure, success, type Result } from "../../domain/result.ts";
import { createRate } from "./rate.ts";

/** OWASP's figures for argon2id: 19 MiB, two passes. */
const ARGON = { algorithm: "argon2id", memoryCost: 19_456, timeCost: 2 } as const;

export async function hashPassword(password: string): Promise<string> {
  return await Bun.password.hash(password, ARGON);
}

/** More e-mails than can be tried within the window, so that each count lasts its whole minute. */
const ATTEMPTS = { max: 10, windowMs: 60_000, maxNames: 10_000 };
const MAX_UNDER_WAY = 16;

export type SignIn = (email: string, password: string) => Promise<Result<PersonRecord>>;

export async function createSignIn(
  { people }: Pick<Records, "people">,
  clock: () => number,
): Promise<SignIn> {
  const nobodysHash = await hashPassword(crypto.randomUUID());
  const attempts = createRate(ATTEMPTS, clock);
  let underWay = 0;

  return async (address, password) => {
    const email = address.toLowerCase();
    // Counted before the answer is known, so that parallel attempts are limited like sequential
    // ones.
    if (underWay >= MAX_UNDER_WAY || !attempts.take(email)) return failure("SIGN_IN_LIMITED");
    underWay += 1;
    try {
      const [person] = await people.find({ where: { email }, limit: 1 });
      const matches = await Bun.password.verify(password, person?.passwordHash ?? nobodysHash);
      if (!person?.passwordHash || !matches) return failure("SIGN_IN_REFUSED");
      attempts.forget(email);
      return success(person);
    } finally {
      underWay -= 1;
    }
  };
}

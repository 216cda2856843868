/**
 * Sign-in by e-mail and password. An unknown e-mail costs as much time as a
 * wrong password, and both are refused alike. Attempts are bounded per e-mail,
 * and so is how many hashes are computed at once; each process bounds its own.
 */
import type { PersonRecord, Records } from "../records/port.ts";
import { failure, success, type Result } from "../../domain/result.ts";

/** OWASP's figures for argon2id: 19 MiB, two passes. */
const ARGON = { algorithm: "argon2id", memoryCost: 19_456, timeCost: 2 } as const;

export async function hashPassword(password: string): Promise<string> {
  return await Bun.password.hash(password, ARGON);
}

const MAX_ATTEMPTS = 10;
const WINDOW_MS = 60_000;
/** More e-mails than can be tried within the window, so that nobody is forgotten before their minute is over. */
const MAX_EMAILS = 10_000;
const MAX_UNDER_WAY = 16;

export type SignIn = (email: string, password: string) => Promise<Result<PersonRecord>>;

export async function createSignIn(
  { people }: Pick<Records, "people">,
  clock: () => number,
): Promise<SignIn> {
  const nobodysHash = await hashPassword(crypto.randomUUID());
  const attempts = new Map<string, { count: number; sinceMs: number }>();
  let underWay = 0;

  /** Counted before the answer is known, so that many at once are as bounded as one after another. */
  function isAllowed(email: string): boolean {
    const now = clock();
    const known = attempts.get(email);
    const current = known && now - known.sinceMs < WINDOW_MS ? known : { count: 0, sinceMs: now };
    current.count += 1;
    attempts.delete(email);
    attempts.set(email, current);
    const [oldest] = attempts.keys();
    if (attempts.size > MAX_EMAILS && oldest !== undefined) attempts.delete(oldest);
    return current.count <= MAX_ATTEMPTS;
  }

  return async (address, password) => {
    const email = address.toLowerCase();
    if (underWay >= MAX_UNDER_WAY || !isAllowed(email)) return failure("SIGN_IN_LIMITED");
    underWay += 1;
    try {
      const [person] = await people.find({ where: { email }, limit: 1 });
      const matches = await Bun.password.verify(password, person?.passwordHash ?? nobodysHash);
      if (!person?.passwordHash || !matches) return failure("SIGN_IN_REFUSED");
      attempts.delete(email);
      return success(person);
    } finally {
      underWay -= 1;
    }
  };
}

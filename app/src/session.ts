/** Who is signed in, for as long as this tab is open and the token lasts. */
import type { Session } from "./api.ts";

const SLOT = "fanfare.session";

export function keepSession(storage: Storage, session: Session): void {
  storage.setItem(SLOT, JSON.stringify(session));
}

export function dropSession(storage: Storage): void {
  storage.removeItem(SLOT);
}

export function keptSession(storage: Storage, now: number): Session | undefined {
  const text = storage.getItem(SLOT);
  if (text === null) return undefined;
  const session = JSON.parse(text) as Session;
  return session.expiresAtMs > now ? session : undefined;
}

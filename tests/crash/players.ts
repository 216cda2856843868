/** Plays given disasters, a few rounds at once, at the brokers with the fewest guarantees. */
import type { Disaster, Equipment } from "./disaster.ts";
import { durabilityAt, type Plan } from "./plan.ts";
import { playRound, type Played } from "./round.ts";

const SEED = 5;

type Kind = Plan["broker"];

/** Knows no ids and finds all orders, so that every order sent twice is on its book twice. */
export const SEES_ALL: Kind = {
  deduplicates: "none",
  lookUp: "authoritative",
  validUntil: "enforced",
};
/** Guarantees nothing: unanswered orders are asked about to the end. */
export const SEES_LITTLE: Kind = { ...SEES_ALL, lookUp: "hint" };
/** Executes a close once, however often it is sent. */
export const SELLS_ONCE: Kind = { ...SEES_ALL, closes: "once" };
/** Forgets an id once its contract is closed, and opens every order that comes. */
export const FORGETS: Kind = {
  deduplicates: "open-orders",
  lookUp: "authoritative",
  validUntil: "ignored",
};

const USUAL: Omit<Plan, "disaster" | "durability" | "round"> = {
  store: "redis",
  broker: SEES_ALL,
  faults: {},
  durationSeconds: 1,
  closes: "none",
};

export type Round = Partial<Omit<Plan, "round">> & { readonly disaster: Disaster };

/**
 * Resolves in the order of the rounds. If a round cannot be played, rejects after the others have
 * ended and left nothing running.
 */
export async function play(
  rounds: readonly Round[],
  equipment: Pick<Equipment, "mongo" | "noteSyncs">,
  atOnce = 3,
): Promise<Played[]> {
  const waiting = [...rounds.entries()];
  const played: Played[] = [];
  const player = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [round, changes] = next;
      const durability = durabilityAt(changes.disaster, "everysec");
      const plan = { ...USUAL, durability, ...changes, round };
      played[round] = await playRound(plan, SEED, equipment);
    }
  };
  const players = await Promise.allSettled(Array.from({ length: atOnce }, player));
  for (const each of players) if (each.status === "rejected") throw each.reason;
  return played;
}

/**
 * What a follower with caps has used of them: stakes and losses of the UTC day,
 * and positions open now. It is kept as one packed text a subscription, with a
 * revision that each change raises: so a decision on one text can be compared
 * with the text that is stored now. It is only read here. Redis changes it, in
 * `workers/copier/stored/caps.ts` (ADR 9).
 */
import type { CopyPlan } from "./plan.ts";
import type { SkipReason } from "./outcome.ts";

export const DAY_MS = 86_400_000;

export interface Usage {
  /** Days since 1970-01-01 UTC. */
  readonly day: number;
  readonly stakedCents: number;
  readonly open: number;
  /** Stakes less returns of what settled today; negative on a day of gains. */
  readonly lossCents: number;
  readonly revision: number;
}

const NOTHING_USED: Usage = { day: 0, stakedCents: 0, open: 0, lossCents: 0, revision: 0 };

export function dayOf(atMs: number): number {
  return Math.floor(atMs / DAY_MS);
}

/** Reads `day,staked,open,loss,revision`; the empty text is someone who has used nothing yet. */
export function parseUsage(text: string): Usage {
  if (text === "") return NOTHING_USED;
  const [day = 0, stakedCents = 0, open = 0, lossCents = 0, revision = 0] = text
    .split(",")
    .map(Number);
  return { day, stakedCents, open, lossCents, revision };
}

/**
 * Which cap a further stake on a day would break. Stakes and losses of an earlier
 * day do not count. Those of a later day do: this clock is then behind another's.
 */
export function brokenCap(
  { maxDayStakeCents, maxOpen, maxDayLossCents }: CopyPlan,
  usage: Usage,
  stakeCents: number,
  day: number,
): SkipReason | undefined {
  const isOver = usage.day < day;
  const lossCents = isOver ? 0 : usage.lossCents;
  const stakedCents = isOver ? 0 : usage.stakedCents;
  if (maxDayLossCents !== undefined && lossCents >= maxDayLossCents) return "DAY_LOSS";
  if (maxOpen !== undefined && usage.open >= maxOpen) return "OPEN_CAP";
  if (maxDayStakeCents !== undefined && stakedCents + stakeCents > maxDayStakeCents) {
    return "DAY_CAP";
  }
  return undefined;
}

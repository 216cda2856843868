/**
 * What a follower with caps has used of them: stakes and losses of the UTC
 * day, and positions open now. Kept as one packed text a subscription, with a
 * revision that each change raises, so that who decided on one text can tell
 * whether it still stands.
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

export function formatUsage({ day, stakedCents, open, lossCents, revision }: Usage): string {
  return [day, stakedCents, open, lossCents, revision].join(",");
}

/** Usage as of a day: a new one begins with nothing staked or lost, and what is open stays so. Never goes back a day. */
export function usageOn(usage: Usage, day: number): Usage {
  return day <= usage.day ? usage : { ...usage, day, stakedCents: 0, lossCents: 0 };
}

/** Which cap a further stake would break. */
export function brokenCap(
  { maxDayStakeCents, maxOpen, maxDayLossCents }: CopyPlan,
  usage: Usage,
  stakeCents: number,
): SkipReason | undefined {
  if (maxDayLossCents !== undefined && usage.lossCents >= maxDayLossCents) return "DAY_LOSS";
  if (maxOpen !== undefined && usage.open >= maxOpen) return "OPEN_CAP";
  if (maxDayStakeCents !== undefined && usage.stakedCents + stakeCents > maxDayStakeCents) {
    return "DAY_CAP";
  }
  return undefined;
}

export function withStake(usage: Usage, stakeCents: number): Usage {
  return {
    ...usage,
    stakedCents: usage.stakedCents + stakeCents,
    open: usage.open + 1,
    revision: usage.revision + 1,
  };
}

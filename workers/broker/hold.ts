/** What a halt or a drain keeps from leaving, order by order. */
import type { PersonId } from "../../domain/ids.ts";
import type { SkipReason } from "../../domain/outcome.ts";
import { haltScopes, standing, type Halts } from "../../redis/halt.ts";
import type { Job } from "../../redis/job.ts";

const REASONS = { halt: "HALTED", drain: "DRAINED" } as const;

export function stopOf(
  halts: Halts,
  { signal, broker }: Job,
  follower: PersonId,
): SkipReason | undefined {
  if (halts.scopes.size === 0) return undefined;
  const scopes = [
    ...haltScopes(signal.channel, signal.provider, broker),
    `follower:${follower}`,
  ] as const;
  const state = standing(halts, scopes);
  return state && REASONS[state];
}

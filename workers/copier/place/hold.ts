/** What a halt or a drain keeps from leaving, order by order. */
import type { PersonId } from "../../../domain/ids.ts";
import type { SkipReason } from "../../../domain/copier/outcome.ts";
import { haltScopes, standing, type Halts } from "../stored/halt.ts";
import type { CloseJob } from "../../../redis/close-job.ts";
import type { Job } from "../../../redis/job.ts";

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

/** A close passes a drain; a halt holds it until it is lifted. */
export function isHeld(
  halts: Halts,
  { close: { channel, provider }, broker }: CloseJob,
  follower: PersonId | undefined,
): boolean {
  if (halts.scopes.size === 0) return false;
  const scopes = [...haltScopes(channel, provider, broker)];
  if (follower !== undefined) scopes.push(`follower:${follower}`);
  return standing(halts, scopes) === "halt";
}

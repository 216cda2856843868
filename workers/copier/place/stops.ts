/** The halts and drains of one job: they stop all its copies, or those of single followers. */
import type { ChannelId, PersonId } from "../../../domain/ids.ts";
import type { StopReason, Stops } from "../../../domain/copier/decide.ts";
import { haltScopes, standing, type Halts } from "../stored/halt.ts";

/** The scopes whose stop stops a job. The scope of its follower also stops a copy. */
export interface StopScopes {
  readonly channel: ChannelId;
  readonly provider: PersonId;
  readonly broker: string;
  /** A close passes a drain; a halt stops it until the halt is lifted. */
  readonly isClose?: boolean;
}

const REASONS = { halt: "HALTED", drain: "DRAINED" } as const;
const FOLLOWER = "follower:";

/** Undefined if nothing is stopped anywhere. */
export function readStops(
  halts: Halts,
  { channel, provider, broker, isClose = false }: StopScopes,
): Stops | undefined {
  if (halts.scopes.size === 0) return undefined;
  const state = standing(halts, haltScopes(channel, provider, broker));
  const followers = new Map<PersonId, StopReason>();
  for (const [scope, each] of halts.scopes) {
    if (!scope.startsWith(FOLLOWER) || (isClose && each === "drain")) continue;
    followers.set(scope.slice(FOLLOWER.length) as PersonId, REASONS[each]);
  }
  const isPassed = state === undefined || (isClose && state === "drain");
  return { all: isPassed ? undefined : REASONS[state], followers };
}

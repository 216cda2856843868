/** The decisions for a whole shard. */
import { getLogger, type Logger } from "@logtape/logtape";
import type { Copy } from "../../../domain/copier/copy.ts";
import { decide, type Facts } from "../../../domain/copier/decide.ts";
import { rotate } from "../../../domain/copier/fairness.ts";
import type { Job } from "../../../redis/job.ts";
import { wasSeated, type RosterMember } from "../stored/roster.ts";
import { nameOf } from "../../../http/place.ts";

/** P5 and P8: the members at the acceptance. A different one is first from signal to signal. */
export function takeSnapshot(
  { version, signal }: Job,
  members: readonly RosterMember[],
): RosterMember[] {
  return rotate(
    members.filter((member) => wasSeated(member, version)),
    signal.sequence,
  );
}

/**
 * P5: members that the job counted and that the roster does not show at its
 * version. A row that cannot be read, or that was written again after a loss, may
 * belong to one of them or to one who joined later. So none of these is copied,
 * and the job's count says how many of them end with it.
 */
export function findMissing(
  { version, count }: Pick<Job, "version" | "count">,
  members: readonly RosterMember[],
): readonly RosterMember[] {
  const found = members.reduce((sum, each) => sum + (wasSeated(each, version) ? 1 : 0), 0);
  if (found >= count) return [];
  const unreadable = members.filter((each) => each.isUnreadable && each.turns.length === 0);
  const rewritten = members
    .filter(({ turns }) => turns.length % 2 === 1 && (turns[0] ?? 0) > version)
    .toSorted((a, b) => (a.turns[0] ?? 0) - (b.turns[0] ?? 0));
  return [...unreadable, ...rewritten].slice(0, count - found);
}

/** A fault in one follower's row or plan affects no other follower of the shard. */
export function decideAll(job: Job, members: readonly RosterMember[], facts: Facts): Copy[] {
  const copies: Copy[] = [];
  for (const member of members) {
    if (member.isUnreadable) {
      makeLogger(job, member).error("the roster row of {subscription} cannot be read");
    }
    try {
      copies.push(decide(job.signal, member, facts));
    } catch (error) {
      makeLogger(job, member).error("nothing could be decided for {subscription}: {error}", {
        error: nameOf(error),
      });
      copies.push(decide(job.signal, member, { ...facts, faulty: "all" }));
    }
  }
  return copies;
}

/** Made only when something is logged, because a shard has hundreds of members. */
function makeLogger({ signal }: Job, { subscription }: RosterMember): Logger {
  return getLogger(["fanfare", "broker"]).with({ signal: signal.id, subscription });
}

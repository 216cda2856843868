/**
 * The facts that the plans of a shard need beyond the signal: balances and payouts
 * from the broker, and the usage of followers with caps. If the plans need
 * nothing, nothing is read.
 */
import { brokerSymbol, isCapped } from "../../../domain/copier/plan.ts";
import type { Facts } from "../../../domain/copier/decide.ts";
import type { Job } from "../../../redis/job.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import type { RosterMember } from "../stored/roster.ts";
import { parseUsages } from "../stored/caps.ts";
import type { Answered, Broker } from "../brokers/port.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Redis } from "../../runtime/redis.ts";

/** Between two attempts to ask a broker that does not answer. */
const PAUSE_MS = 25;

interface Sources {
  readonly redis: Redis;
  readonly broker: Broker;
  readonly partition: number;
  readonly clock: Clock;
}

export async function readFacts(
  { redis, broker, partition, clock }: Sources,
  job: Job,
  members: readonly RosterMember[],
): Promise<Facts> {
  const accounts: RosterMember["account"][] = [];
  const symbols = new Set<string>();
  const capped: RosterMember["subscription"][] = [];
  for (const { account, plan, subscription } of members) {
    if (plan.sizing?.kind === "balance") accounts.push(account);
    if (plan.minPayoutBp !== undefined) symbols.add(brokerSymbol(plan, job.signal.symbol));
    if (isCapped(plan)) capped.push(subscription);
  }
  if (accounts.length === 0 && symbols.size === 0 && capped.length === 0) {
    return { nowMs: clock.nowMs() };
  }

  const { deadlineMs } = job.signal;
  const [balances, payoutsBp, texts] = await Promise.all([
    askForValues(accounts, (some) => broker.balances(some), deadlineMs, clock),
    askForValues([...symbols], (some) => broker.payoutsBp(some), deadlineMs, clock),
    capped.length === 0
      ? []
      : redis.send("HMGET", [new RegionKeys(partition).usage(broker.name), ...capped]),
  ]);
  // The time is read last, so that a decision is never older than its facts.
  return { balances, payoutsBp, usages: parseUsages(capped, texts), nowMs: clock.nowMs() };
}

/** Asks again until the deadline. A value that is not known by then is absent. */
async function askForValues<Name>(
  names: readonly Name[],
  ask: (names: readonly Name[]) => Promise<Answered<readonly (number | null)[]>>,
  deadlineMs: number,
  clock: Clock,
): Promise<Map<Name, number>> {
  const values = new Map<Name, number>();
  if (names.length === 0) return values;
  // At least once, because a late job may be a repeated one whose orders were sent.
  for (;;) {
    const reply = await ask(names);
    if (reply.kind === "answered") {
      for (const [index, name] of names.entries()) {
        const value = reply.answers[index] ?? null;
        if (value !== null) values.set(name, value);
      }
      return values;
    }
    if (clock.nowMs() > deadlineMs) return values;
    await clock.sleep(PAUSE_MS);
  }
}

/** Reads the audit of a desk from its store and its streams. */
import type { AccountId } from "../../domain/ids.ts";
import { type DeskBooks, readAccounts } from "../../workers/desk/stored/accounts.ts";
import { eventsOf, parseAuditEntry, type AuditEvent } from "../../workers/desk/stored/audit.ts";
import { PartitionMap } from "../../redis/keys.ts";
import { auditOf } from "../../workers/desk/audit/merged.ts";
import type { AuditStore } from "../../workers/desk/audit/port.ts";
import { run, type Redis } from "../../workers/runtime/redis.ts";

export const PARTITIONS = new PartitionMap(4);

export async function auditEvents(store: AuditStore, redis: Redis): Promise<AuditEvent[]> {
  const events: AuditEvent[] = [];
  for (const partition of PARTITIONS.all()) {
    for await (const { fields } of auditOf(store, redis, partition)) {
      events.push(...eventsOf(parseAuditEntry(fields)!));
    }
  }
  return events;
}

/** The sum of each user's account events. */
export function sumEvents(events: readonly AuditEvent[]): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const event of events) {
    for (const cents of "movedCents" in event ? event.movedCents : []) {
      sums.set(event.user, (sums.get(event.user) ?? 0) + cents);
    }
  }
  return sums;
}

export async function readBooks(
  redis: Redis,
  users: readonly string[],
): Promise<(DeskBooks | undefined)[]> {
  return await Promise.all(
    users.map(async (user) => {
      const partition = PARTITIONS.ofAccount(user as AccountId);
      return (await run(redis, readAccounts, { partition, users: [user] }))[0];
    }),
  );
}

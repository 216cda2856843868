/** The audit of one user as JSON, page by page, oldest first. */
import { eventsOf, parseAuditEntry, type AuditEvent } from "../stored/audit.ts";
import type { AccountId } from "../../../domain/ids.ts";
import { auditOf, nextOf } from "../audit/merged.ts";
import type { LogSource } from "./log.ts";

export interface EventsPage {
  readonly events: readonly (AuditEvent & { readonly atMs: number; readonly server: string })[];
  /** Where the next page goes on; null where all has been read. */
  readonly next: string | null;
}

/** An entry is never divided, so a page may hold a batch more. */
const PAGE = 100;

export function isEventCursor(text: string): boolean {
  return /^(?:\d{1,15}-\d{1,9})?$/.test(text);
}

export async function eventsAfter(
  { store, redis, partitions }: LogSource,
  user: string,
  after: string,
): Promise<EventsPage> {
  const partition = partitions.ofAccount(user as AccountId);
  const from = after === "" ? undefined : nextOf(after);
  const events: EventsPage["events"][number][] = [];
  for await (const { id, fields } of auditOf(store, redis, partition, user, from)) {
    const entry = parseAuditEntry(fields);
    if (!entry) continue;
    for (const event of eventsOf(entry)) {
      if (event.user === user) events.push({ ...event, atMs: entry.atMs, server: entry.server });
    }
    if (events.length >= PAGE) return { events, next: id };
  }
  return { events, next: null };
}

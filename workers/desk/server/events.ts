/** The audit of one user as JSON, page by page, oldest first. */
import * as v from "valibot";
import { DESK_USER_PATTERN } from "../../../domain/desk/command.ts";
import { count, matching } from "../../../http/field.ts";
import { reply } from "../../../http/operation.ts";
import { NEXT } from "../../../http/page.ts";
import { eventsOf, parseAuditEntry, type AuditEvent } from "../stored/audit.ts";
import type { AccountId } from "../../../domain/ids.ts";
import { historyOf } from "../audit/history.ts";
import { auditOf, nextOf } from "../audit/merged.ts";
import type { Desk, DeskService, LogSource } from "./service.ts";

interface EventsPage {
  readonly events: readonly (AuditEvent & { readonly atMs: number; readonly server: string })[];
  /** The cursor of the next page; null after the last. */
  readonly next: string | null;
}

/** An entry is never divided, so a page may contain one batch more. */
const PAGE = 100;

const Event = v.looseObject({
  kind: v.picklist(["command", "quote", "fired", "account", "system"]),
  transaction: count,
  user: v.string(),
  atMs: count,
  server: v.string(),
});

export function serveEvents(service: DeskService, { log }: Desk): void {
  service.serve({
    method: "GET",
    path: "/v1/desk/events",
    operationId: "listDeskEvents",
    summary: "The audit of a user, oldest first",
    permission: "desk:admin",
    query: v.object({
      user: matching(DESK_USER_PATTERN, "must be 1 to 64 letters and digits"),
      after: v.optional(
        matching(/^(?:\d{1,15}-\d{1,9})?$/, "must be the `next` of a page, or empty"),
        "",
      ),
    }),
    answers: {
      200: { description: "A page.", body: v.object({ events: v.array(Event), ...NEXT }) },
    },
    problems: [],
    async handle({ query: { user, after } }) {
      return reply(await eventsAfter(log, user, after));
    },
  });
}

async function eventsAfter(
  { store, redis, partitions }: LogSource,
  user: string,
  after: string,
): Promise<EventsPage> {
  const partition = partitions.ofAccount(user as AccountId);
  const from = after === "" ? undefined : nextOf(after);
  const events: EventsPage["events"][number][] = [];
  const entries = historyOf(store, partition, (each) => auditOf(store, redis, each, user, from));
  for await (const { id, fields } of entries) {
    const entry = parseAuditEntry(fields);
    if (!entry) continue;
    for (const event of eventsOf(entry)) {
      if (event.user === user) events.push({ ...event, atMs: entry.atMs, server: entry.server });
    }
    if (events.length >= PAGE) return { events, next: id };
  }
  return { events, next: null };
}

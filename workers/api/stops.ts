/**
 * Halts and drains, and who may set and lift them: an administrator any, a
 * provider those of their channels, a follower their own. Only an administrator
 * lifts a stop that an administrator set or made stricter. A stop is written to
 * every Redis first and then recorded, so administrators can stop trading while
 * the records do not answer.
 */
import * as v from "valibot";
import type { Scope } from "../../domain/copier/scope.ts";
import { SCOPE_PATTERN } from "../../domain/copier/scope.ts";
import {
  ADMINISTRATORS,
  MAX_WHY_LENGTH,
  STOP_STATES,
  type Stop,
  type StopAction,
} from "../../domain/copier/stop.ts";
import { failure } from "../../domain/result.ts";
import { json } from "../../http/body.ts";
import { count, text } from "../../http/field.ts";
import { reply, type Reply } from "../../http/operation.ts";
import { NEXT, pageFields, readPage } from "../../http/page.ts";
import { afterId } from "../records/port.ts";
import { accessTo } from "./access.ts";
import type { Api, RecordsService } from "./api.ts";
import type { Caller } from "./tokens.ts";

const why = text(MAX_WHY_LENGTH);
const StopShown = v.object({
  scope: v.string(),
  state: v.picklist([...STOP_STATES, "open"]),
  /** Who changed it last, when and why; time 0 and no reason if that is not known. */
  by: v.string(),
  atMs: count,
  why: v.string(),
});
const StopBody = v.strictObject({
  state: v.picklist(STOP_STATES, "must be halt or drain"),
  why: v.exactOptional(why),
});
const SCOPE = { pattern: SCOPE_PATTERN, unknown: "STOP_UNKNOWN" } as const;
const PROBLEMS = ["STOP_FORBIDDEN", "CHANGES_LIMITED", "STOP_UNCONFIRMED"] as const;

export function serveStops(service: RecordsService, api: Api): void {
  const { records } = api;

  service.serve({
    method: "GET",
    path: "/v1/stops",
    operationId: "listStops",
    summary: "What is halted or drained",
    description: "Of followers' stops only the caller's own, except for an administrator.",
    permission: "records:read",
    query: v.strictObject(pageFields(1_000, SCOPE_PATTERN)),
    answers: {
      200: {
        description: "As recorded, by scope.",
        body: v.object({ stops: v.array(StopShown), ...NEXT }),
      },
    },
    problems: [],
    async handle({ query: { after, limit: most }, caller }) {
      const whose = isAdministrator(caller) ? {} : { follower: ["", caller.person] };
      const where = { state: STOP_STATES, ...whose };
      const { items, next } = await readPage(
        most,
        (limit) => records.stops.find({ where, limit, after: afterId(after) }),
        ({ _id }) => _id,
      );
      return reply({ stops: items.map((each) => shown(each._id, each)), next });
    },
  });

  service.serve({
    method: "PUT",
    path: "/v1/stops/:scope",
    operationId: "putStop",
    summary: "Halt or drain what a scope names",
    description: "Draining what is halted leaves it halted: it is lifted first.",
    permission: "records:write",
    params: { scope: SCOPE },
    body: json(StopBody),
    answers: { 200: { description: "It holds in every partition.", body: StopShown } },
    problems: PROBLEMS,
    handle: ({ params, body, caller }) =>
      change(api, params.scope as Scope, body.state, body.why, caller),
  });

  service.serve({
    method: "DELETE",
    path: "/v1/stops/:scope",
    operationId: "deleteStop",
    summary: "Lift what stops a scope",
    permission: "records:write",
    params: { scope: SCOPE },
    query: v.strictObject({ why: v.optional(why) }),
    answers: { 200: { description: "Nothing stops it in any partition.", body: StopShown } },
    problems: PROBLEMS,
    handle: ({ params, query, caller }) =>
      change(api, params.scope as Scope, "lift", query.why, caller),
  });
}

async function change(
  { records, mayStop, changeStop }: Api,
  scope: Scope,
  action: StopAction,
  reason: string | undefined,
  caller: Caller,
): Promise<Reply> {
  const access = await accessTo(records, scope, caller);
  if (access === "unknown") return failure("STOP_UNKNOWN");
  if (access === "read") return failure("STOP_FORBIDDEN");
  const { person } = caller;
  if (!isAdministrator(caller) && !mayStop(person)) return failure("CHANGES_LIMITED");
  const owner = isAdministrator(caller) ? ADMINISTRATORS : person;
  const written = await changeStop(scope, action, { by: person, owner, why: reason ?? "" });
  if (written.isForeign) return failure("STOP_FORBIDDEN");
  if (written.silent.length > 0) return failure("STOP_UNCONFIRMED");
  return reply(shown(scope, written.stop ?? { state: "open", by: "", atMs: 0, why: "" }));
}

function isAdministrator({ permissions }: Caller): boolean {
  return permissions.has("records:admin");
}

function shown(
  scope: string,
  { state, by, atMs, why: reason }: Pick<Stop, "state" | "by" | "atMs" | "why">,
): object {
  return { scope, state, by, atMs, why: reason };
}

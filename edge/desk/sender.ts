/** Who may command whom at the desk: everybody their own user, and an administrator any. */
import type { Context } from "hono";
import { DESK_USER_PATTERN, deskUserOf } from "../../domain/desk/command.ts";
import { ID_PATTERN } from "../../domain/ids.ts";
import { failure, success, type Result } from "../../domain/result.ts";
import type { Edge, EdgeHono } from "../edge.ts";
import type { Parameter } from "../openapi.ts";
import type { Sender } from "./relay.ts";

export const SESSION_HEADER: Parameter = {
  name: "Command-Session",
  in: "header",
  required: false,
  description:
    "Names the sender's session: a command sent again with its number in it gets the first reply and is done once.",
  schema: { type: "string", pattern: ID_PATTERN.source },
};

export const USER_QUERY: Parameter = {
  name: "user",
  in: "query",
  required: false,
  description: "Another user than one's own: needs the scope `desk:admin` as well.",
  schema: { type: "string", pattern: DESK_USER_PATTERN.source },
};

export const SENDER_PROBLEMS = ["DESK_USER_MISSING", "DESK_UNAVAILABLE"] as const;

/** Whose lines the caller may send, and where to. */
export function senderOf(c: Context<EdgeHono>, { desk }: Edge, session = ""): Result<Sender> {
  if (desk === undefined) return failure("DESK_UNAVAILABLE");
  const { person, scopes } = c.var.caller;
  const user = scopes.has("desk:admin") ? "" : deskUserOf(person);
  if (user === undefined) return failure("DESK_USER_MISSING");
  const later = (task: Promise<unknown>): void => c.executionCtx.waitUntil(task);
  return success({ servers: desk, user, session, later });
}

export function sessionOf(text: string | undefined): Result<string> {
  if (text === undefined || ID_PATTERN.test(text)) return success(text ?? "");
  const message = "must be 1 to 64 of A-Z a-z 0-9 _ -";
  return failure("HEADER_INVALID", [{ path: "Command-Session", message }]);
}

/** The user that is asked about: the caller's own unless another is named. Of an administrator none may be meant. */
export function userAskedFor(c: Context<EdgeHono>, sender: Sender): Result<string> {
  const asked = c.req.query("user");
  if (asked === undefined) return success(sender.user || (deskUserOf(c.var.caller.person) ?? ""));
  if (!DESK_USER_PATTERN.test(asked)) {
    const message = "must be 1 to 64 letters and digits";
    return failure("QUERY_INVALID", [{ path: "user", message }]);
  }
  return sender.user === "" || sender.user === asked ? success(asked) : failure("TOKEN_SCOPE");
}

/** Who may command which desk user: each person their own, an administrator any. */
import * as v from "valibot";
import { DESK_USER_PATTERN, deskUserOf } from "../../domain/desk/command.ts";
import { failure, success, type Result } from "../../domain/result.ts";
import { id, matching } from "../../http/field.ts";
import type { Edge } from "../edge.ts";
import type { Caller } from "../tokens.ts";
import type { Sender } from "./relay.ts";

/** Names the sender's session, by header or in the query. */
export const SESSION = v.optional(
  v.pipe(
    id,
    v.description(
      "Names the sender's session: a command sent again with its number in it gets the first reply and is done once.",
    ),
  ),
);

export const USER = v.optional(
  v.pipe(
    matching(DESK_USER_PATTERN, "must be 1 to 64 letters and digits"),
    v.description("Another user than one's own: needs the permission `desk:admin` as well."),
  ),
);

export const SENDER_PROBLEMS = ["DESK_USER_MISSING", "DESK_UNAVAILABLE"] as const;

/** What a request says about its sender. */
interface Asking {
  readonly caller: Caller;
  readonly later: Sender["later"];
}

/** Which user's lines the caller may send, and to which servers. */
export function identifySender(
  { caller: { person, permissions }, later }: Asking,
  { desk }: Edge,
  session = "",
): Result<Sender> {
  if (desk === undefined) return failure("DESK_UNAVAILABLE");
  const user = permissions.has("desk:admin") ? "" : deskUserOf(person);
  if (user === undefined) return failure("DESK_USER_MISSING");
  return success({ servers: desk, person, user, session, later });
}

/**
 * The user that the request is about: the caller's own unless another is named. For an
 * administrator it may be none.
 */
export function userAskedFor(
  asked: string | undefined,
  { person }: Caller,
  sender: Sender,
): Result<string> {
  if (asked === undefined) return success(sender.user || (deskUserOf(person) ?? ""));
  return sender.user === "" || sender.user === asked ? success(asked) : failure("TOKEN_SCOPE");
}

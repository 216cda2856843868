/** Who may command whom at the desk: everybody their own user, and an administrator any. */
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

/** What a call says of its sender. */
interface Asking {
  readonly caller: Caller;
  readonly later: Sender["later"];
}

/** Whose lines the caller may send, and where to. */
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

/** The user that is asked about: the caller's own unless another is named. Of an administrator none may be meant. */
export function userAskedFor(
  asked: string | undefined,
  { person }: Caller,
  sender: Sender,
): Result<string> {
  if (asked === undefined) return success(sender.user || (deskUserOf(person) ?? ""));
  return sender.user === "" || sender.user === asked ? success(asked) : failure("TOKEN_SCOPE");
}

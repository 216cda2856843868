/** The sender of lines to this server, and the session that the sender named. */
import * as v from "valibot";
import { ID_PATTERN } from "../../../domain/ids.ts";
import { orEmpty } from "../../../http/field.ts";
import { sessionOfOther } from "../stored/session.ts";

export interface LineSender {
  /** The only desk user whose commands the sender may send; empty: any user. */
  readonly user: string;
  /**
   * The person whose token the edge verified, or else that user; empty for the holder of the
   * desk's token.
   */
  readonly name: string;
  /**
   * The session's name at the sender's own account, and at any other; empty if the sender
   * named none.
   */
  readonly session: string;
  readonly sessionOfOther: string;
}

/** Read from the header or the query. */
export const SESSION = v.optional(
  v.pipe(
    orEmpty(ID_PATTERN, "must be 1 to 64 of A-Z a-z 0-9 _ -"),
    v.description("Names the sender's session, in which a numbered command is done once."),
  ),
  "",
);
export function lineSender(name: string, user: string, session: string): LineSender {
  return { user, name, session, sessionOfOther: sessionOfOther(name, session) };
}

/** The name of a sender's session at a user's account. */
export function sessionAt(sender: LineSender, user: string): string {
  return sender.name === user ? sender.session : sender.sessionOfOther;
}

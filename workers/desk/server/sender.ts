/** Who sends lines to this server, and the session that they named. */
import * as v from "valibot";
import { ID_PATTERN } from "../../../domain/ids.ts";
import { orEmpty } from "../../../http/field.ts";
import { sessionOfOther } from "../stored/session.ts";

export interface LineSender {
  /** The one desk user that is spoken for; empty: any. */
  readonly user: string;
  /** The person whose token the edge saw, or else that user; empty for the holder of the desk's token. */
  readonly name: string;
  /** What the session is called at the sender's own account, and at any other; empty where none was named. */
  readonly session: string;
  readonly sessionOfOther: string;
}

/** By header or in the query. */
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

/** What a sender's session is called at the account of a user. */
export function sessionAt(sender: LineSender, user: string): string {
  return sender.name === user ? sender.session : sender.sessionOfOther;
}

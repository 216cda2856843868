/** Who sends lines to this server, and the session that they named. */
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

export function lineSender(name: string, user: string, session: string): LineSender {
  return { user, name, session, sessionOfOther: sessionOfOther(name, session) };
}

/** What a sender's session is called at the account of a user. */
export function sessionAt(sender: LineSender, user: string): string {
  return sender.name === user ? sender.session : sender.sessionOfOther;
}

/**
 * A sender's session at an account: its name among the account's sessions, and its last
 * command, as both are stored. A line with the number of that command is either a
 * repetition or a mistake. The digest shows which.
 */
import type { DeskRefusal } from "../../../domain/desk/refusals.ts";

/** The last command of a session. */
export interface LastCommand {
  readonly n: number;
  readonly transaction: number;
  /** Undefined if a server without digests stored it: then any command counts as the same. */
  readonly digest: string | undefined;
  /** Its reply, see `stored/reply.ts`. */
  readonly packed: string;
}

/**
 * The name of a session at an account. At the sender's own account the session's name
 * alone is enough; at any other account the sender's name is added. The holder of the
 * desk's token has no name. So two senders never share a session.
 */
export function sessionOfOther(sender: string, session: string): string {
  return session === "" ? "" : `${sender}/${session}`;
}

/** Undefined for the account's own user. */
export function senderOfSession(name: string): string | undefined {
  const slash = name.indexOf("/");
  return slash < 0 ? undefined : name.slice(0, slash);
}

/**
 * The session's name alone. Sessions that were stored before they were separated by sender
 * have this name. A sender other than the account's own user finds its old session under
 * it.
 */
export function nameWithoutSender(name: string): string | undefined {
  const slash = name.indexOf("/");
  return slash < 0 ? undefined : name.slice(slash + 1);
}

/**
 * `n transaction packed digest`, separated by blanks. The first servers left the digest
 * out, and ignore it in a stored reply.
 */
export function packLastCommand({ n, transaction, digest, packed }: LastCommand): string {
  return `${n} ${transaction} ${packed} ${digest ?? ""}`;
}

export function parseLastCommand(text: string): LastCommand {
  const [n, transaction, packed = "", digest = ""] = text.split(" ");
  return {
    n: Number(n),
    transaction: Number(transaction),
    packed,
    digest: digest === "" ? undefined : digest,
  };
}

/** The input of a digest: all parts of a line that matter to an account. */
export interface DigestedCommand {
  readonly name: string;
  readonly symbol: string;
  readonly cents: number;
  readonly more?: { readonly file?: string; readonly refusal?: DeskRefusal };
}

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const COMMA = 44;

/** All texts of two digits. */
const PAIRS = Array.from({ length: 36 ** 2 }, (_, number) => number.toString(36).padStart(2, "0"));

/**
 * FNV-1a, folded into four characters, which are stored with each command. It finds
 * mistakes: a sender who constructs two commands with one digest deceives only itself.
 */
export function digestOf({ name, symbol, cents, more }: DigestedCommand): string {
  let hash = mixText(mixText(FNV_OFFSET, name), symbol);
  // Amounts have up to 40 bits.
  hash = Math.imul(hash ^ (cents | 0), FNV_PRIME);
  hash = Math.imul(hash ^ Math.floor(cents / 2 ** 32), FNV_PRIME);
  hash = mixText(mixText(hash, more?.file ?? ""), more?.refusal ?? "");
  const folded = (hash >>> 0) % PAIRS.length ** 2;
  return `${PAIRS[Math.floor(folded / PAIRS.length)]}${PAIRS[folded % PAIRS.length]}`;
}

/** Each text ends with a comma, so two different pairs of texts never read the same. */
function mixText(hash: number, text: string): number {
  let mixed = hash;
  for (let index = 0; index < text.length; index += 1) {
    mixed = Math.imul(mixed ^ text.charCodeAt(index), FNV_PRIME);
  }
  return Math.imul(mixed ^ COMMA, FNV_PRIME);
}

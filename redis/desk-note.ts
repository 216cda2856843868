/** Puts into the audit what no command's script does: answers of the quote server that came unasked or late, servers that come and go. */
import type { PaidAnswer } from "./desk-execute.ts";
import { deskCallArgs, DESK_STATE_LUA, deskStateKeys, type DeskCall } from "./desk-state.ts";
import { asInteger, type Script } from "./script.ts";

export interface NoteArgs extends DeskCall {
  readonly note:
    | { readonly kind: "paid"; readonly answer: PaidAnswer }
    | { readonly kind: "system"; readonly what: "up" | "down" };
}

/** Replies the number of the transaction that the note has become. */
export const noteInAudit: Script<NoteArgs, number> = {
  name: "note-in-audit",
  lua: `
${DESK_STATE_LUA}
local transaction = next_transaction()
event(ARGV[5], string.format('%s,%d,%s', ARGV[4], transaction, ARGV[6]))
finish()
return transaction
`,
  keys: deskStateKeys,
  args: ({ note, ...call }) => [...deskCallArgs(call), ...lineOf(note)],
  reply: asInteger,
};

function lineOf(note: NoteArgs["note"]): [kind: string, user: string, rest: string] {
  if (note.kind === "system") return ["s", "", note.what];
  const { user, symbol, priceCents, quoteTimeMs, cryptokey } = note.answer;
  return ["q", user, [user, symbol, priceCents, quoteTimeMs, cryptokey].join(",")];
}

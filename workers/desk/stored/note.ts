/**
 * Writes to the audit what belongs to no command: answers of the quote server that came
 * unrequested or late, and servers that start and stop.
 */
import { paidEvent, type PaidAnswer } from "./audit.ts";
import { AUDIT_ARGS, AUDIT_KEYS, type DeskCall } from "./transaction.ts";
import { asInteger, defineScript, LUA_NOW } from "../../../redis/script.ts";

export interface NoteArgs extends DeskCall {
  readonly note:
    | { readonly kind: "paid"; readonly answer: PaidAnswer }
    | { readonly kind: "system"; readonly what: "up" | "down" };
}

/** Returns the transaction number of the note. */
export const noteInAudit = defineScript<NoteArgs, number>({
  name: "note-in-audit",
  lua: `
${LUA_NOW}
local counted = redis.call('INCR', transactions)
redis.call('SET', audited, counted)
local transaction = (counted - 1) * partitions + partition + 1
local numbered = string.gsub(event, '^(%a),0,', function(kind) return string.format('%s,%d,', kind, transaction) end)
redis.call('XADD', audit, '*', 'at', string.format('%d', now_ms()), 'server', server, 'users', user, 'events', numbered)
return transaction
`,
  keys: AUDIT_KEYS,
  args: {
    ...AUDIT_ARGS,
    user: ({ note }) => (note.kind === "paid" ? note.answer.user : ""),
    event: ({ note }) => (note.kind === "paid" ? paidEvent(0, note.answer) : `s,0,${note.what}`),
  },
  reply: asInteger,
});

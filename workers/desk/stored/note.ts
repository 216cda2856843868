/** Puts into the audit what no command does: answers of the quote server that came unasked or late, servers that come and go. */
import { paidEvent, type PaidAnswer } from "./audit.ts";
import type { DeskCall } from "./transaction.ts";
import { DeskKeys } from "./keys.ts";
import { asInteger, LUA_NOW, type Script } from "../../../redis/script.ts";

export interface NoteArgs extends DeskCall {
  readonly note:
    | { readonly kind: "paid"; readonly answer: PaidAnswer }
    | { readonly kind: "system"; readonly what: "up" | "down" };
}

/** Replies the number of the transaction that the note has become. */
export const noteInAudit: Script<NoteArgs, number> = {
  name: "note-in-audit",
  lua: `
${LUA_NOW}
local counted = redis.call('INCR', KEYS[1])
redis.call('SET', KEYS[3], counted)
local transaction = (counted - 1) * ARGV[1] + ARGV[2] + 1
local event = string.gsub(ARGV[5], '^(%a),0,', function(kind) return string.format('%s,%d,', kind, transaction) end)
redis.call('XADD', KEYS[2], '*', 'at', string.format('%d', now_ms()), 'server', ARGV[3], 'users', ARGV[4], 'events', event)
return transaction
`,
  keys: ({ partition }) => {
    const desk = new DeskKeys(partition);
    return [desk.transactions, desk.audit, desk.audited];
  },
  args: ({ note, partitions, partition, server }) => [
    ...[String(partitions), String(partition), server],
    note.kind === "paid" ? note.answer.user : "",
    note.kind === "paid" ? paidEvent(0, note.answer) : `s,0,${note.what}`,
  ],
  reply: asInteger,
};

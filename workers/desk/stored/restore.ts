/**
 * Restores what a desk partition lost. Everything is prepared beside the live keys. The
 * step that replaces those runs only if the partition is unchanged since its audit was
 * read, so no later change is undone.
 */
import { deskKeys } from "./keys.ts";
import { asInteger, asList, asText, defineScript } from "../../../redis/script.ts";

/** The position of a partition; both parts grow with every change. */
export interface DeskMark {
  /** Of the transactions that are audited. */
  readonly transactions: number;
  /** The newest entry of its audit's stream, or `0-0`. */
  readonly audit: string;
}

interface PartitionArgs {
  readonly partition: number;
}

const MARK_LUA = `
local function mark()
  local newest = '0-0'
  if redis.call('EXISTS', audit) == 1 then
    local stream = redis.call('XINFO', 'STREAM', audit)
    for i = 1, #stream, 2 do if stream[i] == 'last-generated-id' then newest = stream[i + 1] end end
  end
  return redis.call('GET', audited) or redis.call('GET', transactions) or '0', newest
end
`;

const MARK_KEYS = deskKeys("audited", "audit", "transactions");

export const deskMark = defineScript<PartitionArgs, DeskMark>({
  name: "desk-mark",
  lua: `${MARK_LUA} return {mark()}`,
  keys: MARK_KEYS,
  reply(raw) {
    const [transactions, audit] = asList(raw);
    return { transactions: asInteger(transactions), audit: asText(audit) };
  },
});

/** A command of Redis and its key, then the other arguments. */
export type RedisCommand = readonly [name: string, key: string, ...words: string[]];

export interface WhileUnmovedArgs extends PartitionArgs {
  readonly mark: DeskMark;
  readonly commands: readonly RedisCommand[];
}

/** Does everything, or nothing if the partition has changed since its mark. Returns which. */
export const whileUnmoved = defineScript<WhileUnmovedArgs, boolean>({
  name: "while-unmoved",
  lua: `
${MARK_LUA}
local counted, newest = mark()
if counted ~= marked_transactions or newest ~= marked_audit then return 0 end
for _, command in ipairs(cjson.decode(commands)) do redis.call(unpack(command)) end
return 1
`,
  keys: MARK_KEYS,
  // Lua takes the keys from the commands, but a cluster needs each key declared. RENAME has
  // two.
  restKeys: ({ commands }) => [
    ...new Set(
      commands.flatMap(([name, key, to]) => (name === "RENAME" ? [key, to ?? ""] : [key])),
    ),
  ],
  args: {
    marked_transactions: ({ mark }) => mark.transactions,
    marked_audit: ({ mark }) => mark.audit,
    commands: ({ commands }) => JSON.stringify(commands),
  },
  reply: (raw) => asInteger(raw) === 1,
});

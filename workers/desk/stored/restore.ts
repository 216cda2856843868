/**
 * Puts back what a desk partition lost. Everything is prepared beside the live
 * keys; what touches those is done only while the partition stands where it
 * stood when its audit was read, so that nothing that happened since is undone.
 */
import { DeskKeys } from "./keys.ts";
import { asInteger, asList, asText, type Script } from "../../../redis/script.ts";

/** How far a partition has come; both grow with whatever it does. */
export interface DeskMark {
  /** Of those that are audited. */
  readonly transactions: number;
  /** The newest entry of its audit's stream, or `0-0`. */
  readonly audit: string;
}

interface PartitionArgs {
  readonly partition: number;
}

const MARK_LUA = `
local function mark()
  local audit = '0-0'
  if redis.call('EXISTS', KEYS[2]) == 1 then
    local stream = redis.call('XINFO', 'STREAM', KEYS[2])
    for i = 1, #stream, 2 do if stream[i] == 'last-generated-id' then audit = stream[i + 1] end end
  end
  return redis.call('GET', KEYS[1]) or redis.call('GET', KEYS[3]) or '0', audit
end
`;

function markKeys(partition: number): string[] {
  const desk = new DeskKeys(partition);
  return [desk.audited, desk.audit, desk.transactions];
}

export const deskMark: Script<PartitionArgs, DeskMark> = {
  name: "desk-mark",
  lua: `${MARK_LUA} return {mark()}`,
  keys: ({ partition }) => markKeys(partition),
  args: () => [],
  reply(raw) {
    const [transactions, audit] = asList(raw);
    return { transactions: asInteger(transactions), audit: asText(audit) };
  },
};

/** A command of Redis and its key; the words after it. */
export type RedisCommand = readonly [name: string, key: string, ...words: string[]];

export interface WhileUnmovedArgs extends PartitionArgs {
  readonly mark: DeskMark;
  readonly commands: readonly RedisCommand[];
}

/** Does all of it, or nothing if the partition has moved on since its mark; replies which. */
export const whileUnmoved: Script<WhileUnmovedArgs, boolean> = {
  name: "while-unmoved",
  lua: `
${MARK_LUA}
local transactions, audit = mark()
if transactions ~= ARGV[1] or audit ~= ARGV[2] then return 0 end
for _, command in ipairs(cjson.decode(ARGV[3])) do redis.call(unpack(command)) end
return 1
`,
  keys: ({ partition, commands }) => [
    ...markKeys(partition),
    // A name may be that of a key as well, as it is with RENAME.
    ...new Set(
      commands.flatMap(([name, key, to]) => (name === "RENAME" ? [key, to ?? ""] : [key])),
    ),
  ],
  args: ({ mark, commands }) => [String(mark.transactions), mark.audit, JSON.stringify(commands)],
  reply: (raw) => asInteger(raw) === 1,
};

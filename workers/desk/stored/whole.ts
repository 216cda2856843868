/**
 * Whether a desk partition has its accounts. One that was flushed, or lost its
 * disk, has none, and must not look like one where nobody ever had money. Its
 * mark is in the partition's header and goes with the data; what opens accounts
 * or moves money by commands compares it first. A desk is not filled by itself:
 * `desk:restore` rebuilds it from its audit, and marks it.
 */
import { formatKey } from "../../../redis/keys.ts";
import { asInteger, LUA_NOW, type Script } from "../../../redis/script.ts";
import { DeskKeys } from "./keys.ts";

/** The field in the header: epoch milliseconds. */
export const WHOLE_FIELD = "deskSinceMs";

/** To be called with the place of the header among a script's keys. `workers/runtime/outage.ts` knows the first word. */
export function luaRefuseLost(header: number): string {
  return `
if redis.call('HEXISTS', KEYS[${header}], '${WHOLE_FIELD}') == 0 then
  return redis.error_reply('UNRESTORED the accounts of this partition are lost: run desk:restore')
end
`;
}

interface PartitionArgs {
  readonly partition: number;
}

export const noteWhole: Script<PartitionArgs, null> = {
  name: "note-whole",
  lua: `
${LUA_NOW}
redis.call('HSETNX', KEYS[1], '${WHOLE_FIELD}', string.format('%d', now_ms()))
return 1
`,
  keys: ({ partition }) => [formatKey(partition)],
  args: () => [],
  reply: () => null,
};

/** Whether a partition has its mark, or accounts, as one from before there was a mark. */
export const isWhole: Script<PartitionArgs, boolean> = {
  name: "is-whole",
  lua: `
${LUA_NOW}
if redis.call('HEXISTS', KEYS[1], '${WHOLE_FIELD}') == 1 then return 1 end
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('HSET', KEYS[1], '${WHOLE_FIELD}', string.format('%d', now_ms()))
return 1
`,
  keys: ({ partition }) => [formatKey(partition), new DeskKeys(partition).balances],
  args: () => [],
  reply: (raw) => asInteger(raw) === 1,
};

/**
 * Whether a desk partition has its accounts. One that was flushed, or lost its
 * disk, has none, and must not look like one where nobody ever had money. Its
 * mark is in the partition's header and goes with the data; what opens accounts
 * or moves money by commands compares it first. A desk is not filled by itself:
 * `desk:restore` rebuilds it from its audit, and marks it.
 */
import { formatKey } from "../../../redis/keys.ts";
import { asInteger, defineScript, LUA_NOW } from "../../../redis/script.ts";
import { deskKeys } from "./keys.ts";

/** The field in the header: epoch milliseconds. */
export const WHOLE_FIELD = "deskSinceMs";

interface PartitionArgs {
  readonly partition: number;
}

/** The key that `LUA_REFUSE_LOST` looks into. */
export const headerKey = {
  header: ({ partition }: PartitionArgs) => formatKey(partition),
};

/** Replies with an error where the partition has lost its accounts. `workers/runtime/outage.ts` knows its first word. */
export const LUA_REFUSE_LOST = `
if redis.call('HEXISTS', header, '${WHOLE_FIELD}') == 0 then
  return redis.error_reply('UNRESTORED the accounts of this partition are lost: run desk:restore')
end
`;

export const noteWhole = defineScript<PartitionArgs, null>({
  name: "note-whole",
  lua: `
${LUA_NOW}
redis.call('HSETNX', header, '${WHOLE_FIELD}', string.format('%d', now_ms()))
return 1
`,
  keys: headerKey,
  reply: () => null,
});

/** Whether a partition has its mark, or accounts, as one from before there was a mark. */
export const isWhole = defineScript<PartitionArgs, boolean>({
  name: "is-whole",
  lua: `
${LUA_NOW}
if redis.call('HEXISTS', header, '${WHOLE_FIELD}') == 1 then return 1 end
if redis.call('EXISTS', balances) == 0 then return 0 end
redis.call('HSET', header, '${WHOLE_FIELD}', string.format('%d', now_ms()))
return 1
`,
  keys: { ...headerKey, ...deskKeys("balances") },
  reply: (raw) => asInteger(raw) === 1,
});

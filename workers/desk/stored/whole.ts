/**
 * Whether a desk partition has its accounts. A partition that was flushed, or lost its
 * disk, has none. It must not look like one that never had money. Its mark is in the
 * partition's header and is lost with the data. Every script that opens accounts or moves
 * money by commands checks it first. A desk is not filled automatically: `desk:restore`
 * rebuilds it from its audit, and marks it.
 */
import { formatKey } from "../../../redis/keys.ts";
import { asInteger, defineScript, LUA_NOW } from "../../../redis/script.ts";
import { deskKeys } from "./keys.ts";

/** The field in the header: epoch milliseconds. */
export const WHOLE_FIELD = "deskSinceMs";

interface PartitionArgs {
  readonly partition: number;
}

/** The key that `LUA_REFUSE_LOST` reads. */
export const headerKey = {
  header: ({ partition }: PartitionArgs) => formatKey(partition),
};

/**
 * Replies with an error if the partition has lost its accounts.
 * `workers/runtime/outage.ts` recognizes its first word.
 */
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

/** Whether a partition has its mark, or has accounts from before the mark existed. */
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

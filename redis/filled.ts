/**
 * Shows whether a partition has been filled from the records. A Redis that is
 * new, was flushed or lost its disk is empty. It must not be mistaken for one
 * without followers and halts. So the process that fills a partition marks it at
 * the end, and each reader that needs complete data checks the mark first. A
 * flush removes the mark together with the data.
 *
 * The mark is a time: the partition has lost nothing since then. Older data may
 * have been lost, so missing older data does not prove that it never existed.
 */
import { formatKey } from "./keys.ts";
import { asInteger, asList, defineScript, LUA_NOW } from "./script.ts";

/** A Redis may hold both for the same partition, and each is filled by itself. */
export const PARTS = ["home", "region"] as const;
export type Part = (typeof PARTS)[number];

const sinceField = (part: Part): string => `${part}SinceMs`;
const fillingField = (part: Part): string => `${part}Filling`;

/** `filled_since(header)`: epoch milliseconds, or false where the partition's part is not filled. */
function luaFilledSince(part: Part): string {
  return `
local function filled_since(header)
  return redis.call('HGET', header, '${sinceField(part)}')
end
`;
}

export const LUA_HOME_FILLED_SINCE = luaFilledSince("home");
export const LUA_REGION_FILLED_SINCE = luaFilledSince("region");

/** Where the edge looks for it without a script. */
export const HOME_FILLED_FIELD = sinceField("home");

/** The field to `HEXISTS` in a region partition's header. */
export const REGION_FILLED_FIELD = sinceField("region");

interface Place {
  readonly partition: number;
  readonly part: Part;
}

export interface FillArgs extends Place {
  /** One attempt of one process. A second attempt has another name. */
  readonly filler: string;
}

/** How long a filler that does not renew its claim keeps others away: it may have been killed. */
export const CLAIM_MS = 5_000;

/**
 * The claim contains the run id of the Redis. After a restart a Redis may have
 * lost part of the filling and still have the claim.
 */
const LUA_CLAIM = `
local function run_id()
  local server = redis.pcall('INFO', 'server')
  return type(server) == 'string' and string.match(server, 'run_id:(%x+)') or '0'
end
local function claim()
  local text = redis.call('HGET', header, filling)
  if not text then return nil end
  local holder, since, until_ms, run = string.match(text, '^(%S+) (%d+) (%d+) (%S+)$')
  return holder, since, tonumber(until_ms), run
end
local function set_claim(since)
  local until_ms = now_ms() + ${CLAIM_MS}
  redis.call('HSET', header, filling, string.format('%s %s %d %s', filler, since, until_ms, run_id()))
end
`;

const HEADER_KEY = { header: ({ partition }: Place) => formatKey(partition) };

const CLAIM_ARGS = {
  filler: ({ filler }: FillArgs) => filler,
  filling: ({ part }: FillArgs) => fillingField(part),
};

export type ClaimReply = "claimed" | "filled" | "another";

/** Claims a partition that is not filled. One whose filler has gone is claimed anew. */
export const claimFill = defineScript<FillArgs, ClaimReply>({
  name: "claim-fill",
  lua: `
${LUA_NOW}
${LUA_CLAIM}
if redis.call('HEXISTS', header, since_field) == 1 then return 0 end
local holder, _, until_ms = claim()
if holder and holder ~= filler and until_ms > now_ms() then return 2 end
set_claim(string.format('%d', now_ms()))
return 1
`,
  keys: HEADER_KEY,
  args: { ...CLAIM_ARGS, since_field: ({ part }) => sinceField(part) },
  reply: (raw) => (["filled", "claimed", "another"] as const)[asInteger(raw)] ?? "another",
});

/** Keeps a claim. Replies false where it is gone: the partition was lost or taken meanwhile, and this attempt is over. */
export const keepClaim = defineScript<FillArgs, boolean>({
  name: "keep-claim",
  lua: `
${LUA_NOW}
${LUA_CLAIM}
local holder, since, _, run = claim()
if holder ~= filler or run ~= run_id() then return 0 end
set_claim(since)
return 1
`,
  keys: HEADER_KEY,
  args: CLAIM_ARGS,
  reply: (raw) => asInteger(raw) === 1,
});

/** Marks a partition as filled since it was claimed. Replies false, and marks nothing, where the claim is gone. */
export const finishFill = defineScript<FillArgs, boolean>({
  name: "finish-fill",
  lua: `
${LUA_NOW}
${LUA_CLAIM}
local holder, since, _, run = claim()
if holder ~= filler or run ~= run_id() then return 0 end
redis.call('HSET', header, since_field, since)
redis.call('HDEL', header, filling)
return 1
`,
  keys: HEADER_KEY,
  args: { ...CLAIM_ARGS, since_field: ({ part }) => sinceField(part) },
  reply: (raw) => asInteger(raw) === 1,
});

/** Gives a claim back, so that the next attempt need not wait for it to run out. */
export const dropClaim = defineScript<FillArgs, boolean>({
  name: "drop-claim",
  lua: `
${LUA_CLAIM}
if claim() ~= filler then return 0 end
return redis.call('HDEL', header, filling)
`,
  keys: HEADER_KEY,
  args: CLAIM_ARGS,
  reply: (raw) => asInteger(raw) === 1,
});

/** Since when a partition is filled, epoch milliseconds; undefined where it is not. */
export const filledSince = defineScript<Place, number | undefined>({
  name: "filled-since",
  lua: `return {redis.call('HGET', header, since_field) or ''}`,
  keys: HEADER_KEY,
  args: { since_field: ({ part }) => sinceField(part) },
  reply(raw) {
    const [since] = asList(raw);
    return since === "" ? undefined : asInteger(since);
  },
});

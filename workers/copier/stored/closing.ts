/**
 * The state of a job that closes. Its copies end at different times: some may
 * be held by a halt, or wait for how their open ended, while others are closed.
 * So each step moves a state, in the same script that tells what has ended,
 * acknowledges the entry and puts the job at the end of its stream where
 * something is left. Whoever moves from a state that stands no more changes
 * nothing: that is the fence.
 */
import type { SubscriptionId } from "../../../domain/ids.ts";
import type { OutcomeCounts } from "../../../domain/copier/outcome.ts";
import { ANSWER_TTL_MS, keptMs } from "../../../redis/accept.ts";
import { closeJobFields, type CloseJob } from "../../../redis/close-job.ts";
import { packClosures, type ClosuresEvent } from "./events.ts";
import { liveChannel, RegionKeys } from "../../../redis/keys.ts";
import { elapsedMs, PROGRESS_LUA } from "./outcomes.ts";
import { asInteger, asText, LUA_NOW, type Script } from "../../../redis/script.ts";

export interface ClosingState {
  /** Raised by each move, so that no state is ever the same as one before it. */
  readonly turn: number;
  /** Who has no final outcome yet; null before anybody has one. */
  readonly left: readonly SubscriptionId[] | null;
  /** Who of them was told as unknown. */
  readonly unknown: readonly SubscriptionId[];
  /** When the broker was last sent these, where a repetition could close twice: until it is asked, nothing is sent. */
  readonly sentAtMs?: number;
  /** When it was last certain that nothing sent before is on its way any more. */
  readonly sureAtMs?: number;
}

export interface NoteSentArgs {
  readonly partition: number;
  readonly job: CloseJob;
  readonly before: string;
  readonly after: ClosingState;
  /** For how long no other close may be sent for the same copies. */
  readonly aloneMs: number;
}

export type NoteSentReply = "noted" | "moved" | "another";

const noteLua = `
${LUA_NOW}
local before, after, close, now = ARGV[1], ARGV[2], ARGV[3], now_ms()
if (redis.call('HGET', KEYS[1], 'state') or '') ~= before then return 'moved' end
local closer, until_ms = unpack(redis.call('HMGET', KEYS[2], 'closer', 'closerUntilMs'))
if closer and closer ~= close and tonumber(until_ms) > now then return 'another' end
redis.call('HSET', KEYS[1], 'state', after)
redis.call('PEXPIRE', KEYS[1], ${ANSWER_TTL_MS})
redis.call('HSET', KEYS[2], 'closer', close, 'closerUntilMs', string.format('%d', now + tonumber(ARGV[4])))
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return 'noted'
`;

/**
 * Notes that a close is about to be sent to a broker where a position might be
 * sold twice: only one close at a time may be on its way to the same copies.
 */
export const noteSent: Script<NoteSentArgs, NoteSentReply> = {
  name: "note-sent",
  lua: noteLua,
  keys: ({ partition, job: { close, of, broker, shard } }) => {
    const region = new RegionKeys(partition);
    return [region.closing(close.id, of.id, broker, shard), region.job(of.id, broker, shard)];
  },
  args: ({ job, before, after, aloneMs }) => [
    before,
    JSON.stringify(after),
    job.close.id,
    String(aloneMs),
    String(keptMs(job.of)),
  ],
  reply: (raw) => asText(raw) as NoteSentReply,
};

export interface MoveClosingArgs {
  readonly partition: number;
  readonly job: CloseJob;
  /** The text of the state that was read; empty where there was none. */
  readonly before: string;
  readonly after: ClosingState;
  /** The stream entry to acknowledge. */
  readonly entry: string;
  /** What has ended, with how many it adds to each count. */
  readonly told?: { readonly event: ClosuresEvent; readonly counts: OutcomeCounts };
  /** When the job is to come again; absent where it is over. */
  readonly againAtMs?: number;
}

const lua = `
${PROGRESS_LUA}
local entry, before, after, event = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if (redis.call('HGET', KEYS[1], 'state') or '') ~= before then return 0 end
-- An entry that is not pending was seen to by another, or lost: a job that is gone must not begin anew.
if redis.call('XACK', KEYS[4], 'workers', entry) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'state', after)
redis.call('PEXPIRE', KEYS[1], ARGV[11])
-- What the open's job left is needed for as long as this one is not over.
redis.call('PEXPIRE', KEYS[5], ARGV[12])
if event ~= '' then
  redis.call('XADD', KEYS[2], '*', 'event', event)
  add_progress(KEYS[3], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10])
end
if #ARGV > 12 then redis.call('XADD', KEYS[4], '*', unpack(ARGV, 13)) end
return 1
`;

/** Replies false, and changes nothing, where the state has moved since it was read, or the entry is gone: whoever moved it has seen to the entry. */
export const moveClosing: Script<MoveClosingArgs, boolean> = {
  name: "move-closing",
  lua,
  keys: ({ partition, job: { close, of, broker, shard } }) => {
    const region = new RegionKeys(partition);
    return [
      region.closing(close.id, of.id, broker, shard),
      region.events,
      region.progress(close.id),
      region.closes(broker),
      region.job(of.id, broker, shard),
    ];
  },
  args: ({ job, before, after, entry, told, againAtMs }) => [
    entry,
    before,
    JSON.stringify(after),
    told ? JSON.stringify(packClosures(told.event)) : "",
    liveChannel(job.close.id),
    String(told?.counts.placed ?? 0),
    String(told?.counts.rejected ?? 0),
    String(told?.counts.skipped ?? 0),
    String(told?.counts.unknown ?? 0),
    told ? elapsedMs(told.event) : "",
    String(ANSWER_TTL_MS),
    String(keptMs(job.of)),
    ...(againAtMs === undefined
      ? []
      : closeJobFields({ ...job, notBeforeMs: againAtMs, tries: job.tries + 1 })),
  ],
  reply: (raw) => asInteger(raw) === 1,
};

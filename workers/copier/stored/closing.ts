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
import { asInteger, asText, defineScript, LUA_NOW } from "../../../redis/script.ts";

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

type JobPlace = Pick<NoteSentArgs, "partition" | "job">;

/** The state of the closing job, and the job that opened what it closes. */
const JOB_KEYS = {
  closing: ({ partition, job: { close, of, broker, shard } }: JobPlace) =>
    new RegionKeys(partition).closing(close.id, of.id, broker, shard),
  opened: ({ partition, job: { of, broker, shard } }: JobPlace) =>
    new RegionKeys(partition).job(of.id, broker, shard),
};

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
local now = now_ms()
if (redis.call('HGET', closing, 'state') or '') ~= before then return 'moved' end
local closer, until_ms = unpack(redis.call('HMGET', opened, 'closer', 'closerUntilMs'))
if closer and closer ~= close and tonumber(until_ms) > now then return 'another' end
redis.call('HSET', closing, 'state', after)
redis.call('PEXPIRE', closing, ${ANSWER_TTL_MS})
redis.call('HSET', opened, 'closer', close, 'closerUntilMs', string.format('%d', now + tonumber(alone_ms)))
redis.call('PEXPIRE', opened, kept_ms)
return 'noted'
`;

/**
 * Notes that a close is about to be sent to a broker where a position might be
 * sold twice: only one close at a time may be on its way to the same copies.
 */
export const noteSent = defineScript<NoteSentArgs, NoteSentReply>({
  name: "note-sent",
  lua: noteLua,
  keys: JOB_KEYS,
  args: {
    before: ({ before }) => before,
    after: ({ after }) => JSON.stringify(after),
    close: ({ job }) => job.close.id,
    alone_ms: ({ aloneMs }) => aloneMs,
    kept_ms: ({ job }) => keptMs(job.of),
  },
  reply: (raw) => asText(raw) as NoteSentReply,
});

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
if (redis.call('HGET', closing, 'state') or '') ~= before then return 0 end
-- An entry that is not pending was seen to by another, or lost: a job that is gone must not begin anew.
if redis.call('XACK', closes, 'workers', entry) == 0 then return 0 end
redis.call('HSET', closing, 'state', after)
redis.call('PEXPIRE', closing, ${ANSWER_TTL_MS})
-- What the open's job left is needed for as long as this one is not over.
redis.call('PEXPIRE', opened, kept_ms)
if event ~= '' then
  redis.call('XADD', events, '*', 'event', event)
  add_progress(progress, live, placed, rejected, skipped, unknown, elapsed)
end
if ARGV[rest] then redis.call('XADD', closes, '*', unpack(ARGV, rest)) end
return 1
`;

/** Replies false, and changes nothing, where the state has moved since it was read, or the entry is gone: whoever moved it has seen to the entry. */
export const moveClosing = defineScript<MoveClosingArgs, boolean>({
  name: "move-closing",
  lua,
  keys: {
    ...JOB_KEYS,
    events: ({ partition }) => new RegionKeys(partition).events,
    progress: ({ partition, job }) => new RegionKeys(partition).progress(job.close.id),
    closes: ({ partition, job }) => new RegionKeys(partition).closes(job.broker),
  },
  args: {
    entry: ({ entry }) => entry,
    before: ({ before }) => before,
    after: ({ after }) => JSON.stringify(after),
    event: ({ told }) => (told ? JSON.stringify(packClosures(told.event)) : ""),
    live: ({ job }) => liveChannel(job.close.id),
    placed: ({ told }) => told?.counts.placed ?? 0,
    rejected: ({ told }) => told?.counts.rejected ?? 0,
    skipped: ({ told }) => told?.counts.skipped ?? 0,
    unknown: ({ told }) => told?.counts.unknown ?? 0,
    elapsed: ({ told }) => (told ? elapsedMs(told.event) : ""),
    kept_ms: ({ job }) => keptMs(job.of),
  },
  rest: ({ job, againAtMs }) =>
    againAtMs === undefined
      ? []
      : closeJobFields({ ...job, notBeforeMs: againAtMs, tries: job.tries + 1 }),
  reply: (raw) => asInteger(raw) === 1,
});

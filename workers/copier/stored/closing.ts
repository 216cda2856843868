/**
 * The state of a job that closes. Its copies end at different times: some may be
 * stopped by a halt, or wait for the outcome of their open, while others are
 * closed. So each step moves the state, in the same script that reports the ended
 * copies, acknowledges the entry and, if something is left, adds the job at the
 * end of its stream. A step from a state that is no longer the stored one changes
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
  /** Raised by each step, so that no state equals an earlier one. */
  readonly turn: number;
  /** Subscriptions without a final outcome yet; null before the first one has one. */
  readonly left: readonly SubscriptionId[] | null;
  /** Those of them that were reported as unknown. */
  readonly unknown: readonly SubscriptionId[];
  /**
   * When these were last sent to the broker, if a repetition could close twice.
   * Until the broker is asked, nothing is sent again.
   */
  readonly sentAtMs?: number;
  /** When it was last certain that nothing sent before is still in flight. */
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
 * Notes that a close is about to be sent to a broker that might sell a position
 * twice. Only one close at a time may be in flight for the same copies.
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
  /** The text of the state as it was read; empty if there was none. */
  readonly before: string;
  readonly after: ClosingState;
  /** The stream entry to acknowledge. */
  readonly entry: string;
  /** The copies that have ended, with what they add to each count. */
  readonly ended?: { readonly event: ClosuresEvent; readonly counts: OutcomeCounts };
  /** When the job is tried again; absent if it is over. */
  readonly againAtMs?: number;
}

const lua = `
${PROGRESS_LUA}
if (redis.call('HGET', closing, 'state') or '') ~= before then return 0 end
-- An entry that is not pending was handled by another worker, or lost: a lost job must not start again.
if redis.call('XACK', closes, 'workers', entry) == 0 then return 0 end
redis.call('HSET', closing, 'state', after)
redis.call('PEXPIRE', closing, ${ANSWER_TTL_MS})
-- The data of the open's job are needed until this job is over.
redis.call('PEXPIRE', opened, kept_ms)
if event ~= '' then
  redis.call('XADD', events, '*', 'event', event)
  add_progress(progress, live, placed, rejected, skipped, unknown, elapsed)
end
if ARGV[rest] then redis.call('XADD', closes, '*', unpack(ARGV, rest)) end
return 1
`;

/**
 * Replies false, and changes nothing, if the state has changed since it was read,
 * or if the entry is gone: then the worker that changed it has handled the entry.
 */
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
    event: ({ ended }) => (ended ? JSON.stringify(packClosures(ended.event)) : ""),
    live: ({ job }) => liveChannel(job.close.id),
    placed: ({ ended }) => ended?.counts.placed ?? 0,
    rejected: ({ ended }) => ended?.counts.rejected ?? 0,
    skipped: ({ ended }) => ended?.counts.skipped ?? 0,
    unknown: ({ ended }) => ended?.counts.unknown ?? 0,
    elapsed: ({ ended }) => (ended ? elapsedMs(ended.event) : ""),
    kept_ms: ({ job }) => keptMs(job.of),
  },
  rest: ({ job, againAtMs }) =>
    againAtMs === undefined
      ? []
      : closeJobFields({ ...job, notBeforeMs: againAtMs, tries: job.tries + 1 }),
  reply: (raw) => asInteger(raw) === 1,
});

/** Compares a channel's log in Redis with the records, so that no number is ever given twice. */
import type { ChannelId, SignalId } from "../../../domain/ids.ts";
import type { AcceptedSignal } from "../../../domain/copier/signal.ts";
import { HomeKeys } from "../../../redis/keys.ts";
import type { Records, SignalRecord } from "../../records/port.ts";
import { run } from "../../runtime/redis.ts";
import type { Targets } from "./projector.ts";
import { asInteger, defineScript } from "../../../redis/script.ts";

export interface RecordedSignal {
  readonly signal: AcceptedSignal;
  readonly sha256: string;
  readonly followers: number;
}

export interface RestoreLogArgs {
  readonly home: HomeKeys;
  readonly channel: ChannelId;
  /** The last recorded link; null where there is none. */
  readonly head: { readonly sequence: number; readonly hash: string } | null;
  /** The last recorded signals in the order of their numbers. */
  readonly signals: readonly RecordedSignal[];
}

const lua = `
local known = redis.call('GET', chain)
local linked, raised = known and cjson.decode(known).sequence or 0, 0
if tonumber(recorded) > linked then
  redis.call('SET', chain, head)
  linked, raised = tonumber(recorded), 1
end
local sequence = tonumber(redis.call('HGET', channel, 'sequence') or '0')
local from, last = math.max(sequence, linked), math.max(sequence, linked)
for number, signal, sha256, followers, after in rows() do
  local number = tonumber(number)
  if number > from then
    redis.call('XADD', signals, '*', 'signal', signal, 'sha256', sha256, 'followers', followers, 'after', after)
  end
  if number > last then last = number end
end
if last > sequence then
  redis.call('HSET', channel, 'sequence', string.format('%d', last))
  raised = 1
end
return raised
`;

/**
 * Raises the channel's sequence and the head of its chain to the recorded ones,
 * and puts the signals that Redis lost back into the log to be linked. It never
 * lowers either. Each restored signal names the number before it, so that the
 * chain continues over a number that is lost for good.
 */
export const restoreLog = defineScript<RestoreLogArgs, boolean>({
  name: "restore-log",
  lua,
  keys: {
    channel: ({ home, channel }) => home.channel(channel),
    chain: ({ home, channel }) => home.chainHead(channel),
    signals: ({ home }) => home.signals,
  },
  args: {
    recorded: ({ head }) => head?.sequence ?? 0,
    head: ({ head }) =>
      head === null ? "" : JSON.stringify({ sequence: head.sequence, hash: head.hash }),
  },
  rest: ({ signals }) =>
    signals.flatMap(({ signal, sha256, followers }, index) => [
      signal.sequence,
      JSON.stringify(signal),
      sha256,
      followers,
      signals[index - 1]?.signal.sequence ?? signal.sequence - 1,
    ]),
  columns: ["number", "signal", "sha256", "followers", "after"],
  reply: (raw) => asInteger(raw) === 1,
});

/** The recorder is never this many signals ahead of a Redis that lost its tail. */
const LAST = 1_000;

/** A channel's last recorded signals, the newest first. */
export async function readLastSignals(
  { signals }: Pick<Records, "signals">,
  channel: ChannelId,
): Promise<SignalRecord[]> {
  const sort = { field: "acceptedAtMs", descending: true };
  const found = await signals.find({ where: { channel }, sort, limit: LAST });
  // A link may be recorded before its signal. Then there is no signal to restore yet.
  return found.filter((each) => each.sequence !== undefined && each.sha256 !== undefined);
}

/** Returns whether Redis was behind the records. */
export async function mendLog(
  records: Records,
  { home, partitions }: Targets,
  channel: ChannelId,
): Promise<boolean> {
  const found = await readLastSignals(records, channel);
  const recorded = found.toSorted((a, b) => a.sequence - b.sequence);
  if (recorded.length === 0) return false;
  const linked = recorded.findLast(({ linkHash }) => linkHash !== undefined);
  return await run(home, restoreLog, {
    home: new HomeKeys(partitions.ofChannel(channel)),
    channel,
    head: linked ? { sequence: linked.sequence, hash: linked.linkHash ?? "" } : null,
    signals: recorded.map((record) => ({
      signal: signalOf(record),
      sha256: record.sha256,
      followers: record.followers,
    })),
  });
}

export function signalOf(record: SignalRecord): AcceptedSignal {
  const { _id, sha256, followers, previousHash, linkHash, signature, ...signal } = record;
  return { ...signal, id: _id as SignalId } as unknown as AcceptedSignal;
}

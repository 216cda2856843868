/** A channel's log in Redis, held against the records: what was numbered once is never numbered again. */
import type { ChannelId, SignalId } from "../../../domain/ids.ts";
import type { AcceptedSignal } from "../../../domain/copier/signal.ts";
import { HomeKeys } from "../../../redis/keys.ts";
import type { Records, SignalRecord } from "../../records/port.ts";
import { run } from "../../runtime/redis.ts";
import type { Targets } from "./projector.ts";
import { asInteger, type Script } from "../../../redis/script.ts";

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
local head = redis.call('GET', KEYS[2])
local linked, raised = head and cjson.decode(head).sequence or 0, 0
if tonumber(ARGV[1]) > linked then
  redis.call('SET', KEYS[2], ARGV[2])
  linked, raised = tonumber(ARGV[1]), 1
end
local sequence = tonumber(redis.call('HGET', KEYS[1], 'sequence') or '0')
local from, last = math.max(sequence, linked), math.max(sequence, linked)
for i = 3, #ARGV, 5 do
  local number = tonumber(ARGV[i])
  if number > from then
    redis.call('XADD', KEYS[3], '*', 'signal', ARGV[i + 1], 'sha256', ARGV[i + 2], 'followers', ARGV[i + 3], 'after', ARGV[i + 4])
  end
  if number > last then last = number end
end
if last > sequence then
  redis.call('HSET', KEYS[1], 'sequence', string.format('%d', last))
  raised = 1
end
return raised
`;

/**
 * Raises the channel's sequence and the head of its chain to what the records
 * have, and puts the signals that Redis lost back into the log to be linked;
 * never lowers either. Each of them says after which number it comes, so that
 * the chain goes on over one that is lost for good.
 */
export const restoreLog: Script<RestoreLogArgs, boolean> = {
  name: "restore-log",
  lua,
  keys: ({ home, channel }) => [home.channel(channel), home.chainHead(channel), home.signals],
  args: ({ head, signals }) => [
    String(head?.sequence ?? 0),
    head === null ? "" : JSON.stringify({ sequence: head.sequence, hash: head.hash }),
    ...signals.flatMap(({ signal, sha256, followers }, index) => [
      String(signal.sequence),
      JSON.stringify(signal),
      sha256,
      String(followers),
      String(signals[index - 1]?.signal.sequence ?? signal.sequence - 1),
    ]),
  ],
  reply: (raw) => asInteger(raw) === 1,
};

/** More than the recorder is ever ahead of what a Redis that lost its tail still has. */
const LAST = 1_000;

/** A channel's last recorded signals, the newest first. */
export async function readLastSignals(
  { signals }: Pick<Records, "signals">,
  channel: ChannelId,
): Promise<SignalRecord[]> {
  const sort = { field: "acceptedAtMs", descending: true };
  const found = await signals.find({ where: { channel }, sort, limit: LAST });
  // A link may be recorded before its signal is: then there is nothing to go by yet.
  return found.filter((each) => each.sequence !== undefined && each.sha256 !== undefined);
}

/** Answers whether Redis stood behind. */
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

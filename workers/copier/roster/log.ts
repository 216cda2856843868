/** A channel's log in Redis, held against the records: what was numbered once is never numbered again. */
import type { ChannelId, SignalId } from "../../../domain/ids.ts";
import type { AcceptedSignal } from "../../../domain/copier/signal.ts";
import { HomeKeys } from "../../../redis/keys.ts";
import { restoreLog } from "./raise-log.ts";
import type { Records, SignalRecord } from "../../records/port.ts";
import { run } from "../../runtime/redis.ts";
import type { Targets } from "./projector.ts";

/** More than the recorder is ever ahead of what a Redis that lost its tail still has. */
const LAST = 1_000;

/** Answers whether Redis stood behind. */
export async function mendLog(
  { signals }: Records,
  { home, partitions }: Targets,
  channel: ChannelId,
): Promise<boolean> {
  const sort = { field: "acceptedAtMs", descending: true };
  const found = await signals.find({ where: { channel }, sort, limit: LAST });
  // A link may be recorded before its signal is: then there is nothing to go by yet.
  const recorded = found
    .filter((each) => each.sequence !== undefined && each.sha256 !== undefined)
    .toSorted((a, b) => a.sequence - b.sequence);
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

function signalOf(record: SignalRecord): AcceptedSignal {
  const { _id, sha256, followers, previousHash, linkHash, signature, ...signal } = record;
  return { ...signal, id: _id as SignalId } as unknown as AcceptedSignal;
}

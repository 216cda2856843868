/** The audit log of one user or of all, read piece by piece, so that a log of any length fits. */
import type { AccountId } from "../../../domain/ids.ts";
import type { PartitionMap } from "../../../redis/keys.ts";
import { auditOf } from "../audit/merged.ts";
import type { AuditStore } from "../audit/port.ts";
import type { Redis } from "../../runtime/redis.ts";
import { LOG_HEAD, LOG_TAIL, logOf } from "./log-xml.ts";

export interface LogSource {
  readonly store: AuditStore;
  readonly redis: Redis;
  readonly partitions: PartitionMap;
}

const PIECE_CHARACTERS = 64 * 1024;

/** All that was acknowledged when it began is in it. An empty user means all. */
export async function* logPieces(
  { store, redis, partitions }: LogSource,
  user: string,
): AsyncGenerator<string> {
  const wanted = user === "" ? partitions.all() : [partitions.ofAccount(user as AccountId)];
  const only = user === "" ? undefined : user;
  let piece = LOG_HEAD;
  for (const partition of wanted) {
    for await (const entry of auditOf(store, redis, partition, only)) {
      piece += logOf(entry, only);
      if (piece.length < PIECE_CHARACTERS) continue;
      yield piece;
      piece = "";
    }
  }
  yield piece + LOG_TAIL;
}

export function streamLog(source: LogSource, user: string): Response {
  const pieces = logPieces(source, user);
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await pieces.next();
      if (done === true) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    async cancel() {
      await pieces.return(undefined);
    },
  });
  return new Response(body, { headers: { "content-type": "application/xml" } });
}

/**
 * Writes streamed quotes to every desk partition, in order. While Redis does not answer,
 * they wait, up to a bound, and are written when it is back: a contract may have to settle
 * on one of them.
 */
import { getLogger } from "@logtape/logtape";
import type { Quote } from "../../../domain/desk/quote.ts";
import { writeDeskQuotes } from "../stored/quotes.ts";
import type { PartitionMap } from "../../../redis/keys.ts";
import { DeskKeys } from "../stored/keys.ts";
import { run, type Redis } from "../../runtime/redis.ts";

/** Over six minutes, for five symbols with five quotes a second each. */
const MAX_WAITING = 10_000;
/** Bounds the time for which one script blocks Redis. */
const MAX_BATCH = 200;
const RETRY_MS = 200;

const log = getLogger(["fanfare", "quotes", "desk-writer"]);

export interface DeskWriter {
  add(quotes: readonly Quote[]): void;
  /** Resolves when no quote waits any more. */
  drained(): Promise<void>;
}

export function deskWriter(
  redis: Redis,
  partitions: PartitionMap,
  onWritten: (quotes: readonly Quote[]) => void,
): DeskWriter {
  const waiting: Quote[] = [];
  let writing: Promise<void> | undefined;

  async function writeAll(): Promise<void> {
    while (waiting.length > 0) {
      const quotes = waiting.splice(0, MAX_BATCH);
      const written = await Promise.allSettled(
        partitions
          .all()
          .map((each) => run(redis, writeDeskQuotes, { desk: new DeskKeys(each), quotes })),
      );
      if (written.some(({ status }) => status === "rejected")) {
        waiting.unshift(...quotes);
        log.warn("quotes wait for Redis", { waiting: waiting.length });
        await Bun.sleep(RETRY_MS);
      } else {
        onWritten(quotes);
      }
    }
    writing = undefined;
  }

  return {
    add(quotes) {
      waiting.push(...quotes);
      if (waiting.length > MAX_WAITING) {
        const lost = waiting.splice(0, waiting.length - MAX_WAITING);
        log.error("quotes are lost to the desk", { lost: lost.length });
      }
      writing ??= writeAll();
    },
    drained: async () => writing,
  };
}

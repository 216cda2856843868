/**
 * The audit at this moment: first what is stored, then what remains in the stream. An
 * entry leaves the stream only once it is stored, so everything below the stream's first
 * entry is in the store.
 */
import { MANY_USERS } from "../stored/audit.ts";
import { DeskKeys } from "../stored/keys.ts";
import { fieldsOf } from "../../runtime/entries.ts";
import type { Redis } from "../../runtime/redis.ts";
import type { AuditStore, StoredEntry } from "./port.ts";

const COUNT = "200";

type RawEntry = [id: string, flat: string[]];

/**
 * In order. For one user only entries that may concern them; these also contain other
 * users' events.
 */
export async function* auditOf(
  store: AuditStore,
  redis: Redis,
  partition: number,
  user?: string,
  from = "0-0",
): AsyncGenerator<StoredEntry> {
  const stream = new DeskKeys(partition).audit;
  const only = user === undefined ? {} : { user };
  const [last] = (await redis.send("XREVRANGE", [stream, "+", "-", "COUNT", "1"])) as RawEntry[];
  for (;;) {
    const first = await readFirstId(redis, stream);
    if (first === undefined) {
      yield* store.read({ partition, from, ...only });
      return;
    }
    if (isAfter(first, from)) {
      yield* store.read({ partition, from, before: first, ...only });
      from = first;
    }
    const range = [stream, from, last?.[0] ?? "+", "COUNT", COUNT];
    const found = (await redis.send("XRANGE", range)) as RawEntry[];
    // The stream was trimmed in between: the missing entries are in the store by now.
    if ((await readFirstId(redis, stream)) !== first) continue;
    for (const [id, flat] of found) {
      const fields = fieldsOf(flat);
      const users = (fields.get("users") ?? "").split(" ");
      if (user === undefined || users.includes(user) || users.includes(MANY_USERS)) {
        yield { partition, id, fields };
      }
    }
    const newest = found.at(-1)?.[0];
    if (newest === undefined || newest === last?.[0]) return;
    from = nextOf(newest);
  }
}

async function readFirstId(redis: Redis, stream: string): Promise<string | undefined> {
  const [first] = (await redis.send("XRANGE", [stream, "-", "+", "COUNT", "1"])) as RawEntry[];
  return first?.[0];
}

/** Whether one entry id comes after another. */
export function isAfter(id: string, other: string): boolean {
  const [ms = 0, sequence = 0] = id.split("-").map(Number);
  const [otherMs = 0, otherSequence = 0] = other.split("-").map(Number);
  return ms === otherMs ? sequence > otherSequence : ms > otherMs;
}

/** The smallest id after this one. */
export function nextOf(id: string): string {
  const [ms = "0", sequence = "0"] = id.split("-");
  return `${ms}-${Number(sequence) + 1}`;
}

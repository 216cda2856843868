/**
 * A partition's audit together with that of the partition it was split from. When the
 * number of partitions was raised, the earlier events of its accounts stayed in the other
 * partition's audit.
 */
import { raisedFrom } from "../stored/audit.ts";
import { isAfter } from "./merged.ts";
import type { AuditStore, StoredEntry } from "./port.ts";

type Read = (partition: number) => AsyncIterable<StoredEntry>;

/** In order. Entries from before the split also contain other accounts. */
export async function* historyOf(
  store: AuditStore,
  partition: number,
  read: Read,
): AsyncGenerator<StoredEntry> {
  const origin = await findOrigin(store, partition);
  if (origin) {
    for await (const entry of historyOf(store, origin.partition, read)) {
      if (!isAfter(origin.before, entry.id)) break;
      yield entry;
    }
  }
  yield* read(partition);
}

/** The first entry records the split. It is in the store before the partition is used. */
async function findOrigin(
  store: AuditStore,
  partition: number,
): Promise<{ readonly partition: number; readonly before: string } | undefined> {
  const first = await store.first(partition);
  const from = raisedFrom(first?.fields.get("events") ?? "");
  return first === undefined || from === undefined || partition < from
    ? undefined
    : { partition: partition % from, before: first.id };
}

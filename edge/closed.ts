/**
 * The signals that a close closes, as their home partition stores them, with the places of their
 * copies.
 */
import type { AcceptedClose } from "../domain/copier/signal.ts";
import { success, type Result } from "../domain/result.ts";
import { HomeKeys } from "../redis/keys.ts";
import { parseStoredSignal, STORED_SIGNAL_FIELDS, type StoredSignal } from "../redis/progress.ts";
import type { Edge } from "./edge.ts";

export async function readClosed(
  edge: Edge,
  { id, closes }: AcceptedClose,
): Promise<Result<StoredSignal[]>> {
  const home = HomeKeys.ofSignal(id);
  const hashes = closes.map((each) => ({ key: home.signal(each), fields: STORED_SIGNAL_FIELDS }));
  const read = hashes.length === 0 ? success([]) : await edge.home.readHashes(hashes);
  if (!read.ok) return read;
  return success(read.value.flatMap((each) => parseStoredSignal(each) ?? []));
}

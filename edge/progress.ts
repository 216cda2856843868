/**
 * The progress of a signal's fan-out, read from Redis: its home partition first, then each region
 * that its routes name.
 */
import { isSignalId, type SignalId } from "../domain/ids.ts";
import type { Progress } from "../domain/copier/progress.ts";
import { HomeKeys, RegionKeys } from "../redis/keys.ts";
import {
  parseStoredSignal,
  PROGRESS_FIELDS,
  STORED_SIGNAL_FIELDS,
  sumProgress,
  type StoredSignal,
} from "../redis/progress.ts";
import type { Edge } from "./edge.ts";
import { failure, success, type Result } from "../domain/result.ts";
import type { HashFields } from "./store.ts";
import type { Caller } from "./tokens.ts";

export type Found =
  | { readonly where: "redis"; readonly stored: StoredSignal }
  /** Not, or no longer, in Redis: the records may know it. */
  | { readonly where: "records"; readonly id: SignalId };

/**
 * A signal is shown to its sender, to the channel's provider, and to anyone with a grant on the
 * channel. For others it does not exist.
 */
export async function findSignal(edge: Edge, caller: Caller, id: string): Promise<Result<Found>> {
  if (!isSignalId(id)) return failure("SIGNAL_UNKNOWN");
  const home = HomeKeys.ofSignal(id);
  const read = await edge.home.readHashes([{ key: home.signal(id), fields: STORED_SIGNAL_FIELDS }]);
  if (!read.ok) return read;
  const stored = parseStoredSignal(read.value[0]);
  if (!stored) return success({ where: "records", id });
  const { sender, provider, channel } = stored.signal;
  if (caller.person !== sender && caller.person !== provider) {
    const granted = await edge.home.hasField(home.grants(channel), caller.person);
    if (!granted.ok) return granted;
    if (!granted.value) return failure("SIGNAL_UNKNOWN");
  }
  return success({ where: "redis", stored });
}

export async function readProgress(edge: Edge, stored: StoredSignal): Promise<Result<Progress>> {
  const byRegion = new Map<string, Map<number, HashFields>>();
  for (const { region, partition } of stored.routes) {
    const hashes = byRegion.get(region) ?? new Map<number, HashFields>();
    hashes.set(partition, {
      key: new RegionKeys(partition).progress(stored.signal.id),
      fields: PROGRESS_FIELDS,
    });
    byRegion.set(region, hashes);
  }
  const parts: unknown[] = [];
  const reads = [...byRegion].map(
    async ([region, hashes]) =>
      (await edge.regions.get(region)?.readHashes([...hashes.values()])) ??
      failure("STORE_UNAVAILABLE"),
  );
  for (const read of await Promise.all(reads)) {
    if (!read.ok) return read;
    parts.push(...read.value);
  }
  return success(sumProgress(stored, parts));
}

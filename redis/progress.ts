/** The progress of a signal's fan-out, for `GET /v1/signals/:id` and the live feed. */
import { deriveStatus, type Progress } from "../domain/copier/progress.ts";
import type { AcceptedSignal } from "../domain/copier/signal.ts";
import { asList, asText } from "./script.ts";
import { parseRoutes, type Route } from "./route.ts";

/** A signal as its home partition stores it. */
export interface StoredSignal {
  readonly signal: AcceptedSignal;
  /** Of a close: where its copies are, one entry for each partition. */
  readonly routes: Route[];
  readonly followers: number;
}

/** Fields to `HMGET` of `HomeKeys.signal`. */
export const STORED_SIGNAL_FIELDS = ["signal", "routes", "followers"] as const;

export function parseStoredSignal(raw: unknown): StoredSignal | undefined {
  const [signal, routes, followers] = asList(raw);
  if (typeof signal !== "string") return undefined;
  const flat: unknown = JSON.parse(asText(routes));
  return {
    signal: JSON.parse(signal) as AcceptedSignal,
    // Lua's cjson writes an empty list as `{}`.
    routes: Array.isArray(flat) ? parseRoutes(flat.map(asText)) : [],
    followers: Number(asText(followers)),
  };
}

/** Fields to `HMGET` of `RegionKeys.progress`, for each partition that a route names. */
export const PROGRESS_FIELDS = [
  "placed",
  "rejected",
  "skipped",
  "unknown",
  "firstMs",
  "lastMs",
] as const;

/** Adds up the partitions' progress hashes, each an `HMGET` of `PROGRESS_FIELDS`. */
export function sumProgress(stored: StoredSignal, parts: readonly unknown[]): Progress {
  const counts = { followers: stored.followers, placed: 0, rejected: 0, skipped: 0, unknown: 0 };
  let firstMs: number | null = null;
  let lastMs: number | null = null;
  for (const part of parts) {
    const [placed, rejected, skipped, unknown, first, last] = asList(part);
    counts.placed += Number(placed ?? 0);
    counts.rejected += Number(rejected ?? 0);
    counts.skipped += Number(skipped ?? 0);
    counts.unknown += Number(unknown ?? 0);
    if (first !== null && first !== undefined) {
      firstMs = Math.min(firstMs ?? Number.POSITIVE_INFINITY, Number(first));
    }
    if (last !== null && last !== undefined) lastMs = Math.max(lastMs ?? 0, Number(last));
  }
  return {
    id: stored.signal.id,
    status: deriveStatus(counts),
    counts,
    timing: { acceptedAtMs: stored.signal.acceptedAtMs, firstMs, lastMs },
  };
}

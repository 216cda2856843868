/** How far a signal's fan-out is: what `GET /v1/signals/:id` answers and the live feed repeats. */
import type { OutcomeCounts } from "../domain/copier/outcome.ts";
import type { AcceptedSignal } from "../domain/copier/signal.ts";
import { asList, asText } from "./script.ts";
import { parseRoutes, type Route } from "./route.ts";

export interface Progress {
  readonly id: string;
  /** `complete` once every follower has an outcome; an unknown one counts, and may still move. */
  readonly status: "running" | "complete";
  readonly counts: OutcomeCounts & { readonly followers: number };
  readonly timing: {
    readonly acceptedAt: number;
    /** Milliseconds from the acceptance to the first and the last answer of a broker; null before the first. */
    readonly firstMs: number | null;
    readonly lastMs: number | null;
  };
}

/** A signal as its home partition keeps it. */
export interface StoredSignal {
  readonly signal: AcceptedSignal;
  /** Of a close: where its copies are, all of a partition as one. */
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
    // Lua's cjson spells an empty list `{}`.
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
  const done = counts.placed + counts.rejected + counts.skipped + counts.unknown;
  return {
    id: stored.signal.id,
    status: done >= counts.followers ? "complete" : "running",
    counts,
    timing: { acceptedAt: stored.signal.acceptedAtMs, firstMs, lastMs },
  };
}

/** Compares the stops of every partition of every Redis with the recorded ones. */
import type { Scope } from "../../../domain/copier/scope.ts";
import { STOP_STATES, type Stop } from "../../../domain/copier/stop.ts";
import { listCopies, readCopy } from "../roster/stops.ts";
import type { Difference } from "./differences.ts";
import type { Sources } from "./sources.ts";

/** A change is recorded within a second. One that is younger than `graceMs` is not compared yet. */
export async function compareStops(sources: Sources, graceMs: number): Promise<Difference[]> {
  const copies = listCopies(sources);
  // The records are read last, because they follow Redis.
  const stops = await Promise.all(copies.map(readCopy));
  const recorded = new Map<string, Stop>();
  for await (const { _id, ...stop } of sources.records.stops.each({})) recorded.set(_id, stop);
  const scopes = new Set<string>([
    ...stops.flatMap((each) => [...each.keys()]),
    ...recorded.keys(),
  ]);
  const beforeMs = sources.clock.nowMs() - graceMs;
  return [...scopes].toSorted().flatMap((scope) => {
    const inCopies = stops.map((each) => each.get(scope as Scope));
    const record = recorded.get(scope);
    const all = [...inCopies, record];
    const isAlike = new Set(all.map(readState)).size === 1;
    if (isAlike || all.some((each) => (each?.atMs ?? 0) > beforeMs)) return [];
    return [findDifference(scope, inCopies, record)];
  });
}

function findDifference(
  scope: string,
  inCopies: readonly (Stop | undefined)[],
  record: Stop | undefined,
): Difference {
  const counts = ([...STOP_STATES, "open"] as const).flatMap((state) => {
    const count = inCopies.filter((each) => readState(each) === state).length;
    return count === 0 ? [] : [`${state} in ${count} of ${inCopies.length}`];
  });
  const detail = `${scope}: ${counts.join(", ")} partitions; recorded as ${readState(record)}`;
  const [kind, id = ""] = scope.split(":");
  return { kind: "STOP_DIFFERS", ...(kind === "channel" ? { channel: id } : {}), detail };
}

function readState(stop: Stop | undefined): Stop["state"] {
  return stop?.state ?? "open";
}

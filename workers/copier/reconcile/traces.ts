/**
 * The evidence of signals in the streams: acceptances and links at home, jobs and
 * outcomes in the regions. Read the streams before the records: an entry that has
 * left its stream is recorded by then.
 */
import type { AcceptedSignal } from "../../../domain/copier/signal.ts";
import { HomeKeys, RegionKeys } from "../../../redis/keys.ts";
import { clientOrderId } from "../../../domain/ids.ts";
import { parseCloseJob } from "../../../redis/close-job.ts";
import { parseJob } from "../../../redis/job.ts";
import { parseEvent, parseLink, parseSignalEntry } from "../recorder/parse.ts";
import type { Told } from "./copies.ts";
import { entriesSince } from "../../runtime/entries.ts";
import type { Sources } from "./sources.ts";

export interface Acceptance {
  readonly signal: AcceptedSignal;
  readonly sha256: string;
  readonly followers: number;
}

export interface Traces {
  /** In the `signals` streams. Several entries of one signal count as one. */
  readonly accepted: ReadonlyMap<string, Acceptance>;
  readonly links: ReadonlyMap<string, { readonly previousHash: string; readonly linkHash: string }>;
  /** Signal → subscription → its outcomes in the `events` streams, in order. */
  readonly events: ReadonlyMap<string, ReadonlyMap<string, readonly Told[]>>;
  /** Close → the order that it closes → its outcomes in the `events` streams, in order. */
  readonly closures: ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;
  /** Signals that links, jobs, outcomes or settlements name, with their channel where that is known. */
  readonly named: ReadonlyMap<string, string | undefined>;
}

export async function readTraces(sources: Sources, sinceMs: number): Promise<Traces> {
  const accepted = new Map<string, Acceptance>();
  const links = new Map<string, { previousHash: string; linkHash: string }>();
  const events = new Map<string, Map<string, Told[]>>();
  const closures = new Map<string, Map<string, string[]>>();
  const named = new Map<string, string | undefined>();

  for (const partition of sources.partitions.all()) {
    for (const region of sources.regions.values()) {
      const keys = new RegionKeys(partition);
      for (const broker of sources.brokers.keys()) {
        for await (const entry of entriesSince(region, keys.jobs(broker), sinceMs)) {
          const job = parseJob(entry.fields);
          if (typeof job !== "string") named.set(job.signal.id, job.signal.channel);
        }
        for await (const entry of entriesSince(region, keys.closes(broker), sinceMs)) {
          const job = parseCloseJob(entry.fields);
          if (typeof job !== "string") named.set(job.close.id, job.close.channel);
        }
      }
      for await (const entry of entriesSince(region, keys.events, sinceMs)) {
        const event = parseEvent(entry);
        if (typeof event === "string") continue;
        if (event.kind === "settlements") {
          // If a signal was lost with its jobs, its settlements still prove that it existed.
          for (const { clientOrderId: id } of event.settlements) {
            const signal = id.split(".")[0] ?? "";
            if (!named.has(signal)) named.set(signal, undefined);
          }
          continue;
        }
        if (!named.has(event.signal)) named.set(event.signal, undefined);
        if (event.kind === "closures") {
          const reported = closures.get(event.signal) ?? new Map<string, string[]>();
          closures.set(event.signal, reported);
          for (const [subscription, , { kind }] of event.copies) {
            const order = clientOrderId(event.of, subscription);
            reported.set(order, [...(reported.get(order) ?? []), kind]);
          }
          continue;
        }
        const copies = events.get(event.signal) ?? new Map<string, Told[]>();
        events.set(event.signal, copies);
        for (const [subscription, account, outcome] of event.copies) {
          const reported = copies.get(subscription) ?? [];
          reported.push({ account, ...outcome });
          copies.set(subscription, reported);
        }
      }
    }
    const home = new HomeKeys(partition);
    for await (const entry of entriesSince(sources.home, home.links, sinceMs)) {
      const link = parseLink(entry);
      if (typeof link === "string") continue;
      links.set(link.signal, link);
      named.set(link.signal, link.channel);
    }
    for await (const entry of entriesSince(sources.home, home.signals, sinceMs)) {
      const acceptance = parseSignalEntry(entry);
      if (typeof acceptance !== "string") accepted.set(acceptance.signal.id, acceptance);
    }
  }
  return { accepted, links, events, closures, named };
}

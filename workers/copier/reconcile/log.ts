/**
 * Checks that a channel's log is consistent (P7): its numbers have no gaps, each
 * link continues from the one before it, and Redis is not behind the records.
 */
import type { AcceptedSignal } from "../../../domain/copier/signal.ts";
import { FIRST_HASH, linkHash } from "../dispatch/chain.ts";
import type { Difference, DifferenceKind } from "./differences.ts";

export interface LogEntry {
  readonly signal: Pick<AcceptedSignal, "id" | "channel" | "sequence" | "acceptedAtMs">;
  readonly sha256: string;
  readonly link?: { readonly previousHash: string; readonly linkHash: string };
}

export interface ChannelLog {
  readonly channel: string;
  /** In any order: the window, and the signal before it if there is one. */
  readonly entries: readonly LogEntry[];
  /** Read from Redis before the entries. */
  readonly sequence: number;
  readonly head: { readonly sequence: number; readonly hash: string } | null;
  /** A signal accepted after this may not be linked yet. */
  readonly linkedUntilMs: number;
}

export function compareLog(log: ChannelLog): Difference[] {
  const differences: Difference[] = [];
  const name = (kind: DifferenceKind, detail: string, signal?: string): void => {
    const { channel } = log;
    differences.push({ kind, channel, ...(signal === undefined ? {} : { signal }), detail });
  };
  const entries = log.entries.toSorted((a, b) => a.signal.sequence - b.signal.sequence);
  for (const [index, entry] of entries.entries()) {
    compareLink(log, entry, name);
    const before = entries[index - 1];
    if (before) compareNeighbours(before, entry, name);
  }
  const last = entries.at(-1)?.signal.sequence ?? 0;
  if (log.sequence < last) {
    name("SEQUENCE_BEHIND", `Redis is at ${log.sequence}, the last known signal is ${last}`);
  } else if (entries.length > 0 && log.sequence > last) {
    name("SEQUENCE_GAP", formatRange(last + 1, log.sequence));
  }
  compareHead(log, entries, name);
  return differences;
}

type Name = (kind: DifferenceKind, detail: string, signal?: string) => void;

function compareLink(log: ChannelLog, { signal, sha256, link }: LogEntry, name: Name): void {
  if (!link) {
    if (signal.acceptedAtMs <= log.linkedUntilMs) {
      name("LINK_MISSING", `number ${signal.sequence}`, signal.id);
    }
    return;
  }
  if (linkHash(link.previousHash, signal, sha256) !== link.linkHash) {
    name("LINK_WRONG", `number ${signal.sequence}`, signal.id);
  }
  if (signal.sequence === 1 && link.previousHash !== FIRST_HASH) {
    name("LINK_BROKEN", "number 1 does not begin the chain", signal.id);
  }
}

function compareNeighbours(before: LogEntry, entry: LogEntry, name: Name): void {
  const { sequence, id } = entry.signal;
  const previous = before.signal.sequence;
  if (sequence === previous)
    name("SEQUENCE_TWICE", `number ${sequence}, also ${before.signal.id}`, id);
  else if (sequence > previous + 1) name("SEQUENCE_GAP", formatRange(previous + 1, sequence - 1));
  // Also over a gap: the next link continues from the last existing one.
  if (!before.link || !entry.link || sequence === previous) return;
  if (entry.link.previousHash !== before.link.linkHash) {
    name("LINK_BROKEN", `number ${sequence} does not go on from ${previous}`, id);
  }
}

function compareHead({ head }: ChannelLog, entries: readonly LogEntry[], name: Name): void {
  const linked = entries.findLast(({ link }) => link !== undefined);
  if (!linked?.link) return;
  const { sequence } = linked.signal;
  const at = head?.sequence ?? 0;
  if (at < sequence)
    name("SEQUENCE_BEHIND", `the chain's head is at ${at}, its last link at ${sequence}`);
  const same = entries.find((entry) => entry.signal.sequence === at && entry.link);
  if (head && same?.link && same.link.linkHash !== head.hash) {
    name("LINK_BROKEN", `the head is not the link of number ${at}`, same.signal.id);
  }
}

function formatRange(from: number, to: number): string {
  return from === to ? `number ${from}` : `numbers ${from} to ${to}`;
}

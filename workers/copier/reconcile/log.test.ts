/** A channel's log with one fault at a time: only that fault is named. */
import { expect, test } from "bun:test";
import { asId, signalIdIn, type ChannelId } from "../../../domain/ids.ts";
import { FIRST_HASH, linkHash } from "../dispatch/chain.ts";
import { compareLog, type ChannelLog, type LogEntry } from "./log.ts";

const channel = asId<ChannelId>("demo");

function logOf(count: number, first = 1): ChannelLog {
  const entries: (LogEntry & { link: NonNullable<LogEntry["link"]> })[] = [];
  let previousHash = first === 1 ? FIRST_HASH : "f".repeat(64);
  for (let sequence = first; sequence < first + count; sequence += 1) {
    const id = signalIdIn(0, sequence.toString(16).padStart(32, "0"));
    const signal = { id, channel, sequence, acceptedAtMs: sequence * 1_000 };
    const sha256 = sequence.toString(16).padStart(64, "0");
    const hash = linkHash(previousHash, signal, sha256);
    entries.push({ signal, sha256, link: { previousHash, linkHash: hash } });
    previousHash = hash;
  }
  const sequence = first + count - 1;
  const head = { sequence, hash: previousHash };
  return { channel, entries, sequence, head, linkedUntilMs: 100_000 };
}

const compareKinds = (log: ChannelLog): string[] => compareLog(log).map(({ kind }) => kind);

function changed(log: ChannelLog, at: number, change: (entry: LogEntry) => LogEntry): ChannelLog {
  return {
    ...log,
    entries: log.entries.map((each, index) => (index === at ? change(each) : each)),
  };
}

test("an intact log, from its beginning or from a window's, has no difference", () => {
  expect(compareLog(logOf(5))).toEqual([]);
  expect(compareLog(logOf(5, 17))).toEqual([]);
  expect(compareLog({ ...logOf(0), entries: [], sequence: 9, head: null })).toEqual([]);
});

test("a missing number, in the middle or at the end, is a gap", () => {
  const log = logOf(5);
  const without = { ...log, entries: log.entries.filter((_, index) => index !== 2) };
  expect(compareLog(without)).toMatchObject([
    { kind: "SEQUENCE_GAP", detail: "number 3" },
    { kind: "LINK_BROKEN" },
  ]);
  expect(compareLog({ ...log, sequence: 7 })).toMatchObject([
    { kind: "SEQUENCE_GAP", detail: "numbers 6 to 7" },
  ]);
});

test("a chain that was repaired over a gap differs only by the gap", () => {
  const log = logOf(2);
  const [, second] = log.entries;
  const previousHash = second?.link?.linkHash ?? "";
  const signal = { id: signalIdIn(0, "9".repeat(32)), channel, sequence: 4, acceptedAtMs: 4_000 };
  const hash = linkHash(previousHash, signal, "");
  const fourth = { signal, sha256: "", link: { previousHash, linkHash: hash } };
  const head = { sequence: 4, hash };
  expect(compareKinds({ ...log, sequence: 4, head, entries: [...log.entries, fourth] })).toEqual([
    "SEQUENCE_GAP",
  ]);
});

test("a number given twice is named with both signals", () => {
  const log = logOf(3);
  const id = signalIdIn(0, "e".repeat(32));
  const double = { signal: { id, channel, sequence: 3, acceptedAtMs: 200_000 }, sha256: "" };
  const [difference, ...rest] = compareLog({ ...log, entries: [...log.entries, double] });
  expect(difference).toMatchObject({ kind: "SEQUENCE_TWICE", signal: id });
  expect(rest).toEqual([]);
});

test("the hashes show a body, a time or a link that was changed afterwards", () => {
  expect(compareKinds(changed(logOf(3), 1, (each) => ({ ...each, sha256: "0" })))).toEqual([
    "LINK_WRONG",
  ]);
  const later = (each: LogEntry): LogEntry => ({
    ...each,
    signal: { ...each.signal, acceptedAtMs: 1 },
  });
  expect(compareKinds(changed(logOf(3), 1, later))).toEqual(["LINK_WRONG"]);
  const relinked = (each: LogEntry): LogEntry => {
    const previousHash = "a".repeat(64);
    return {
      ...each,
      link: { previousHash, linkHash: linkHash(previousHash, each.signal, each.sha256) },
    };
  };
  expect(compareKinds(changed(logOf(3), 1, relinked))).toEqual(["LINK_BROKEN", "LINK_BROKEN"]);
  expect(compareKinds(changed(logOf(1), 0, relinked))).toContain("LINK_BROKEN");
});

test("a signal that is not linked is named after some time", () => {
  const unlinked = changed(logOf(3), 2, ({ signal, sha256 }) => ({ signal, sha256 }));
  const log = { ...unlinked, head: { sequence: 2, hash: logOf(2).head?.hash ?? "" } };
  expect(compareKinds(log)).toEqual(["LINK_MISSING"]);
  expect(compareKinds({ ...log, linkedUntilMs: 2_500 })).toEqual([]);
});

test("a Redis behind the records is named before it gives numbers twice", () => {
  expect(compareKinds({ ...logOf(5), sequence: 3 })).toEqual(["SEQUENCE_BEHIND"]);
  expect(compareKinds({ ...logOf(5), head: null })).toEqual(["SEQUENCE_BEHIND"]);
  const head = { sequence: 5, hash: "0".repeat(64) };
  expect(compareKinds({ ...logOf(5), head })).toEqual(["LINK_BROKEN"]);
});

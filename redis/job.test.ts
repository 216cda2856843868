import { describe, expect, test } from "bun:test";
import type { AcceptedClose } from "../domain/copier/signal.ts";
import { acceptedOpen, jobOf } from "../tests/support/signals.ts";
import { jobFields, parseJob, parseSignal, type Job } from "./job.ts";

const OPEN = acceptedOpen();
const { id, channel, sender, provider, sequence, acceptedAtMs } = OPEN;
const CLOSE: AcceptedClose = {
  id,
  channel,
  sender,
  provider,
  sequence,
  acceptedAtMs,
  action: "close",
  closes: [id],
};
const JOB = jobOf(OPEN, { shard: 3, version: 7, count: 512 });

function toFields(flat: readonly string[]): Map<string, string> {
  const fields = new Map<string, string>();
  for (let index = 0; index + 1 < flat.length; index += 2) {
    fields.set(flat[index] ?? "", flat[index + 1] ?? "");
  }
  return fields;
}

const readJob = (changes: Readonly<Record<string, string | undefined>>): Job | string => {
  const fields = toFields(jobFields(JOB));
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) fields.delete(name);
    else fields.set(name, value);
  }
  return parseJob(fields);
};

const without = (signal: object, name: string): string =>
  JSON.stringify({ ...signal, [name]: undefined });

describe("a job", () => {
  test("is read as it was written", () => {
    expect(readJob({})).toEqual(JOB);
  });

  test("may have fields that this release does not know", () => {
    expect(readJob({ later: "1" })).toEqual(JOB);
  });

  test.each([
    ["broker", undefined, "broker is not an id"],
    ["broker", "a:b", "broker is not an id"],
    ["signal", JSON.stringify(CLOSE), "signal is a close"],
  ])("with a wrong %s says so", (field, value, fault) => {
    expect(readJob({ [field]: value })).toBe(fault);
  });

  test.each(["shard", "version", "count", "dispatchedAtMs"])(
    "without a whole number as its %s is none, and says so",
    (field) => {
      for (const value of [undefined, "x", "1.5", "-1", "1e99", "NaN", "Infinity"]) {
        expect(readJob({ [field]: value })).toContain("is not a whole number");
      }
    },
  );
});

describe("an accepted signal", () => {
  test("is read as it was written, an open and a close", () => {
    expect(parseSignal(JSON.stringify(OPEN))).toEqual(OPEN);
    expect(parseSignal(JSON.stringify(CLOSE))).toEqual(CLOSE);
  });

  test.each([
    [undefined, "signal is missing"],
    ["", "signal is not JSON"],
    ["{", "signal is not JSON"],
    ["null", "signal is not an object"],
    ["7", "signal is not an object"],
    ["[]", "signal.id is not a signal id"],
    [JSON.stringify({ ...OPEN, id: "demo" }), "signal.id is not a signal id"],
    [JSON.stringify({ ...OPEN, id: [OPEN.id] }), "signal.id is not a signal id"],
    [JSON.stringify({ ...OPEN, contract: "call" }), "signal.contract is not CALL or PUT"],
    [JSON.stringify({ ...OPEN, symbol: 7 }), "signal.symbol is not a string"],
    [JSON.stringify({ ...CLOSE, closes: ["demo"] }), "signal.closes is not a list of signals"],
    [JSON.stringify({ ...CLOSE, closes: {} }), "signal.closes is not a list of signals"],
    [without(CLOSE, "closes"), "signal.closes is not a list of signals"],
  ])("of %p is none: %s", (text, fault) => {
    expect(parseSignal(text)).toBe(fault);
  });

  test.each(["channel", "sender", "provider"])("without an id as its %s is none", (name) => {
    for (const value of ["", "a b", "x".repeat(65), 7, null]) {
      const text = JSON.stringify({ ...OPEN, [name]: value });
      expect(parseSignal(text)).toBe(`signal.${name} is not an id`);
    }
    expect(parseSignal(without(CLOSE, name))).toBe(`signal.${name} is not an id`);
  });

  test.each(["stakeCents", "durationSeconds", "sequence", "acceptedAtMs", "deadlineMs"])(
    "that opens is none without a whole number as its %s",
    (name) => {
      for (const value of [1.5, "500", null, 1e99]) {
        const text = JSON.stringify({ ...OPEN, [name]: value });
        expect(parseSignal(text)).toBe(`signal.${name} is not a whole number`);
      }
      expect(parseSignal(without(OPEN, name))).toBe(`signal.${name} is not a whole number`);
    },
  );

  test.each(["sequence", "acceptedAtMs"])(
    "that closes is none without a whole number as its %s",
    (name) => {
      expect(parseSignal(without(CLOSE, name))).toBe(`signal.${name} is not a whole number`);
    },
  );
});

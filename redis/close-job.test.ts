import { describe, expect, test } from "bun:test";
import { asId, type AccountId, type SubscriptionId } from "../domain/ids.ts";
import { acceptedOpen, signalIdOf } from "../tests/support/signals.ts";
import { closeJobFields, parseCloseJob, type CloseJob } from "./close-job.ts";

const OF = acceptedOpen();
const HEAD: CloseJob["close"] = {
  id: signalIdOf(1),
  channel: OF.channel,
  provider: OF.provider,
  acceptedAtMs: 1_800_000_002_000,
};
const JOB: CloseJob = {
  close: HEAD,
  of: OF,
  broker: "desk",
  shard: 3,
  version: 7,
  count: 512,
  dispatchedAtMs: 9,
  notBeforeMs: 0,
  tries: 0,
};
const ONLY = [[asId<SubscriptionId>("sub"), asId<AccountId>("acct")]] as const;

function read(
  job: CloseJob,
  changes: Readonly<Record<string, string | undefined>> = {},
): CloseJob | string {
  const flat = closeJobFields(job);
  const fields = new Map<string, string>();
  for (let index = 0; index + 1 < flat.length; index += 2) {
    fields.set(flat[index] ?? "", flat[index + 1] ?? "");
  }
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) fields.delete(name);
    else fields.set(name, value);
  }
  return parseCloseJob(fields);
}

describe("a job that closes", () => {
  test("is read as it was written, postponed or not, for all copies or for some", () => {
    const jobs: CloseJob[] = [
      JOB,
      { ...JOB, notBeforeMs: 1_800_000_003_000, tries: 4 },
      { ...JOB, only: ONLY },
    ];
    for (const job of jobs) expect(read(job)).toEqual(job);
  });

  test("stores only the head of the close", () => {
    const close = JSON.stringify({ ...HEAD, closes: [OF.id], copies: [] });
    expect(read(JOB, { close })).toEqual(JOB);
  });

  test.each([
    ["of", undefined, "signal is missing"],
    ["of", "{", "signal is not JSON"],
    ["of", JSON.stringify({ ...OF, action: "close", closes: [] }), "of is a close"],
    ["close", undefined, "close is not the head of one"],
    ["close", "{", "close is not the head of one"],
    ["close", "null", "close is not the head of one"],
    ["close", JSON.stringify({ ...HEAD, id: "demo" }), "close is not the head of one"],
    ["close", JSON.stringify({ ...HEAD, channel: "a b" }), "close is not the head of one"],
    ["close", JSON.stringify({ ...HEAD, provider: "" }), "close is not the head of one"],
    ["close", JSON.stringify({ ...HEAD, acceptedAtMs: "9" }), "close is not the head of one"],
    ["broker", undefined, "broker is not an id"],
    ["broker", "a/b", "broker is not an id"],
  ])("with a wrong %s of %p says so", (field, value, fault) => {
    expect(read(JOB, { [field]: value })).toBe(fault);
  });

  test.each(["shard", "version", "count", "dispatchedAtMs", "notBeforeMs", "tries"])(
    "without a whole number as its %s is none, and says so",
    (field) => {
      for (const value of [undefined, "x", "1.5", "-1", "Infinity"]) {
        expect(read(JOB, { [field]: value })).toContain("is not a whole number");
      }
    },
  );
});

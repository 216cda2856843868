import { describe, expect, test } from "bun:test";
import { asId, type PersonId } from "../../../domain/ids.ts";
import type { CloseJob } from "../../../redis/close-job.ts";
import { acceptedOpen, jobOf, signalIdOf } from "../../../tests/support/signals.ts";
import type { Halts, HaltState } from "../stored/halt.ts";
import { isHeld, stopOf } from "./hold.ts";

const OF = acceptedOpen();
const { channel, provider } = OF;
const CLOSE: CloseJob = {
  close: { id: signalIdOf(1), channel, provider, acceptedAtMs: 1 },
  of: OF,
  broker: "desk",
  shard: 0,
  version: 1,
  count: 1,
  dispatchedAtMs: 1,
  notBeforeMs: 0,
  tries: 0,
};
const ALICE = asId<PersonId>("alice");

const SCOPES = ["platform", "channel:demo", "provider:provider", "broker:desk", "follower:alice"];
const OTHERS = ["channel:other", "provider:other", "broker:fake", "follower:bob"];

const halts = (scopes: Readonly<Record<string, HaltState>>): Halts => ({
  version: "1",
  scopes: new Map(Object.entries(scopes)),
});

describe("an order", () => {
  const stop = (scopes: Readonly<Record<string, HaltState>>) =>
    stopOf(halts(scopes), jobOf(OF), ALICE);

  test.each(SCOPES)("is stopped by a halt and by a drain of %s (P4)", (scope) => {
    expect(stop({ [scope]: "halt" })).toBe("HALTED");
    expect(stop({ [scope]: "drain" })).toBe("DRAINED");
  });

  test("is halted where a halt stands beside a drain", () => {
    expect(stop({ "follower:alice": "halt", platform: "drain" })).toBe("HALTED");
    expect(stop({ "follower:alice": "drain", platform: "halt" })).toBe("HALTED");
  });

  test("leaves where only others are stopped, and where nothing is", () => {
    expect(stop(Object.fromEntries(OTHERS.map((scope) => [scope, "halt"])))).toBeUndefined();
    expect(stop({})).toBeUndefined();
  });
});

describe("a close", () => {
  const held = (scopes: Readonly<Record<string, HaltState>>, follower?: typeof ALICE) =>
    isHeld(halts(scopes), CLOSE, follower);

  test.each(SCOPES)("is held by a halt of %s, and passes a drain", (scope) => {
    expect(held({ [scope]: "halt" }, ALICE)).toBe(true);
    expect(held({ [scope]: "drain" }, ALICE)).toBe(false);
  });

  test("of who is not known any more is held by all but a follower's halt", () => {
    expect(held({ "follower:alice": "halt" })).toBe(false);
    expect(held({ "broker:desk": "halt" })).toBe(true);
  });

  test("leaves where only others are halted", () => {
    expect(held(Object.fromEntries(OTHERS.map((scope) => [scope, "halt"])), ALICE)).toBe(false);
    expect(held({}, ALICE)).toBe(false);
  });
});

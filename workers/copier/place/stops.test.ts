import { describe, expect, test } from "bun:test";
import { stopReason } from "../../../domain/copier/decide.ts";
import { asId, type PersonId } from "../../../domain/ids.ts";
import { acceptedOpen } from "../../../tests/support/signals.ts";
import type { Halts } from "../stored/halt.ts";
import type { StopState } from "../../../domain/copier/stop.ts";
import { readStops } from "./stops.ts";

const { channel, provider } = acceptedOpen();
const ALICE = asId<PersonId>("alice");

const SCOPES = ["platform", "channel:demo", "provider:provider", "broker:desk", "follower:alice"];
const OTHERS = ["channel:other", "provider:other", "broker:fake", "follower:bob"];
const everywhere = (scopes: readonly string[], state: StopState) =>
  Object.fromEntries(scopes.map((scope) => [scope, state]));

/** What stops a copy of Alice's, or of a follower who is no longer known. */
function stop(
  scopes: Readonly<Record<string, StopState>>,
  { isClose = false, isUnknown = false } = {},
) {
  const halts: Halts = { version: "1", scopes: new Map(Object.entries(scopes)) };
  const stops = readStops(halts, { channel, provider, broker: "desk", isClose });
  return stops && stopReason(stops, isUnknown ? undefined : ALICE);
}

describe("an order", () => {
  test.each(SCOPES)("is stopped by a halt and by a drain of %s (P4)", (scope) => {
    expect(stop({ [scope]: "halt" })).toBe("HALTED");
    expect(stop({ [scope]: "drain" })).toBe("DRAINED");
  });

  test("is halted if there are a halt and a drain", () => {
    expect(stop({ "follower:alice": "halt", platform: "drain" })).toBe("HALTED");
    expect(stop({ "follower:alice": "drain", platform: "halt" })).toBe("HALTED");
  });

  test("is sent if only others are stopped, or nothing is", () => {
    expect(stop(everywhere(OTHERS, "halt"))).toBeUndefined();
    expect(stop({})).toBeUndefined();
  });

  test("of a follower who is no longer known is stopped by all but a follower's halt", () => {
    const unknown = { isUnknown: true };
    expect(stop({ "follower:alice": "halt" }, unknown)).toBeUndefined();
    expect(stop({ platform: "halt" }, unknown)).toBe("HALTED");
  });
});

describe("a close", () => {
  test.each(SCOPES)("is stopped by a halt of %s, and passes a drain", (scope) => {
    expect(stop({ [scope]: "halt" }, { isClose: true })).toBe("HALTED");
    expect(stop({ [scope]: "drain" }, { isClose: true })).toBeUndefined();
  });

  test("of a follower who is no longer known is stopped by all but a follower's halt", () => {
    const unknown = { isClose: true, isUnknown: true };
    expect(stop({ "follower:alice": "halt" }, unknown)).toBeUndefined();
    expect(stop({ "broker:desk": "halt" }, unknown)).toBe("HALTED");
  });

  test("is sent if only others are halted", () => {
    expect(stop(everywhere(OTHERS, "halt"), { isClose: true })).toBeUndefined();
    expect(stop({}, { isClose: true })).toBeUndefined();
  });
});

import { describe, expect, test } from "bun:test";
import type { AccountId, SubscriptionId } from "../../../domain/ids.ts";
import type { CloseOutcome, Outcome } from "../../../domain/copier/outcome.ts";
import { acceptedOpen, signalIdOf } from "../../../tests/support/signals.ts";
import type { Entry } from "../../runtime/entries.ts";
import { packEvent } from "../../../tests/support/copies.ts";
import {
  packClosures,
  type ChainLink,
  type ClosuresEvent,
  type OutcomesEvent,
  type SettlementsEvent,
} from "../stored/events.ts";
import { parseEvent, parseLink, parseSignalEntry } from "./parse.ts";

const TIMES = {
  acceptedAtMs: 1,
  dispatchedAtMs: 2,
  decidedAtMs: 3,
  sentAtMs: 4,
  answeredAtMs: null,
};
const [ANN, ACCOUNT] = ["ann" as SubscriptionId, "acct" as AccountId];
const PLACED: Outcome = {
  kind: "placed",
  stakeCents: 100,
  openPriceMicros: 5,
  openedAtMs: 6,
  expiresAtMs: 7,
};
const CLOSED: CloseOutcome = {
  kind: "closed",
  stakeCents: 100,
  returnCents: 90,
  closePriceMicros: 5,
  closedAtMs: 6,
};
const NOT_DONE: Outcome[] = [
  { kind: "rejected", stakeCents: 100, reason: "REFUSED" },
  { kind: "skipped", reason: "PAUSED" },
  { kind: "unknown", stakeCents: 100 },
];

const outcomes = (...all: Outcome[]): OutcomesEvent => ({
  kind: "outcomes",
  signal: signalIdOf(1),
  broker: "desk",
  shard: 0,
  ...TIMES,
  copies: all.map((outcome) => [ANN, ACCOUNT, outcome]),
});
const closures = (...all: CloseOutcome[]): ClosuresEvent => ({
  kind: "closures",
  signal: signalIdOf(2),
  of: signalIdOf(1),
  broker: "desk",
  shard: 0,
  ...TIMES,
  copies: all.map((outcome) => [ANN, ACCOUNT, outcome]),
});
const SETTLEMENTS: SettlementsEvent = {
  kind: "settlements",
  broker: "desk",
  settlements: [
    {
      clientOrderId: `${signalIdOf(1)}.ann` as never,
      kind: "won",
      returnCents: 185,
      closePriceMicros: null,
      settledAtMs: 9,
    },
  ],
};
const LINK: ChainLink = {
  signal: signalIdOf(1),
  channel: "demo",
  sequence: 1,
  previousHash: "0".repeat(64),
  linkHash: "a".repeat(64),
};

const entry = (fields: Readonly<Record<string, string>>): Entry => ({
  id: "1-0",
  fields: new Map(Object.entries(fields)),
});
const readEvent = (event: object) => parseEvent(entry({ event: JSON.stringify(event) }));

describe("an event", () => {
  test("of outcomes is read as it was written, packed or not", () => {
    const event = outcomes(...NOT_DONE, PLACED);
    expect(readEvent(packEvent(event))).toEqual(event);
    expect(readEvent(event)).toEqual(event);
  });

  test("of closures is read as it was written, packed or not", () => {
    const event = closures(...(NOT_DONE as CloseOutcome[]), CLOSED);
    expect(readEvent(packClosures(event))).toEqual(event);
    expect(readEvent(event)).toEqual(event);
  });

  test("of settlements is read as it was written", () => {
    expect(readEvent(SETTLEMENTS)).toEqual(SETTLEMENTS);
  });

  test("may have a reason that is newer than its reader", () => {
    const event = outcomes({ kind: "skipped", reason: "NEWS_PENDING" as never });
    expect(readEvent(event)).toEqual(event);
  });

  test.each([
    ["a kind that is not known", { ...outcomes(), kind: "fills" }, "event.kind"],
    ["another's signal id", { ...outcomes(), signal: "demo" }, "event.signal"],
    ["a broker that is no id", { ...outcomes(), broker: "a b" }, "event.broker"],
    ["a time that is not whole", { ...outcomes(), sentAtMs: 1.5 }, "event.sentAtMs"],
    ["a time that is missing", { ...outcomes(), decidedAtMs: undefined }, "event.decidedAtMs"],
    ["copies that are none", { ...outcomes(), copies: {} }, "event.copies"],
    ["a copy of two", { ...outcomes(), copies: [[ANN, ACCOUNT]] }, "event.copies.0"],
    [
      "an outcome of no kind",
      { ...outcomes(), copies: [[ANN, ACCOUNT, { kind: "closed" }]] },
      "event.copies.0.2.kind",
    ],
    [
      "a stake below zero",
      { ...outcomes(), copies: [[ANN, ACCOUNT, { kind: "unknown", stakeCents: -1 }]] },
      "event.copies.0.2.stakeCents",
    ],
    [
      "a pack that is cut",
      { ...outcomes(), placed: [[1, 2, 3, ["ann", "acct"]]] },
      "event.placed.0",
    ],
    [
      "a pack of other columns",
      { ...outcomes(), placed: [[1, 2, 3, ["ann", 1, 1]]] },
      "event.placed.0",
    ],
    ["a close of no signal", { ...closures(), of: "demo" }, "event.of"],
    [
      "a settlement of no order",
      { ...SETTLEMENTS, settlements: [{ ...SETTLEMENTS.settlements[0], clientOrderId: "ann" }] },
      "event.settlements.0.clientOrderId",
    ],
    [
      "a settlement of no kind",
      { ...SETTLEMENTS, settlements: [{ ...SETTLEMENTS.settlements[0], kind: "drawn" }] },
      "event.settlements.0.kind",
    ],
  ])("with %s is none, and says where", (_fault, event, place) => {
    const reason = readEvent(event);
    expect(reason).toBeString();
    expect(reason).toContain(place);
  });

  test("that is missing, or is not JSON, is invalid", () => {
    expect(parseEvent(entry({ event: "{" }))).toBe("event is not JSON");
    expect(parseEvent(entry({}))).toBe("event is missing");
  });

  test("that is refused does not show its values: they may be personal", () => {
    const reason = readEvent({ ...outcomes(), broker: "a secret" });
    expect(reason).not.toContain("secret");
  });
});

describe("a link", () => {
  test("is read as it was written, signed or not", () => {
    for (const link of [LINK, { ...LINK, signature: "jws" }]) {
      expect(parseLink(entry({ link: JSON.stringify(link) }))).toEqual(link);
    }
  });

  test.each(["signal", "channel", "sequence", "previousHash", "linkHash"] as const)(
    "without its %s is invalid",
    (name) => {
      const link = JSON.stringify({ ...LINK, [name]: undefined });
      expect(parseLink(entry({ link }))).toContain(`link.${name}`);
    },
  );

  test("without a valid hash is invalid", () => {
    const link = JSON.stringify({ ...LINK, linkHash: "A".repeat(64) });
    expect(parseLink(entry({ link }))).toContain("link.linkHash");
  });
});

describe("a signal's entry", () => {
  const fields = {
    signal: JSON.stringify(acceptedOpen()),
    sha256: "f".repeat(64),
    followers: "3",
  };

  test("has the signal, the hash of its body and the number of followers", () => {
    expect(parseSignalEntry(entry(fields))).toEqual({
      signal: acceptedOpen(),
      sha256: "f".repeat(64),
      followers: 3,
    });
  });

  test("that lacks one of these is invalid, and the text says which", () => {
    expect(parseSignalEntry(entry({ ...fields, signal: "{" }))).toBe("signal is not JSON");
    expect(parseSignalEntry(entry({ ...fields, sha256: "f" }))).toBe("sha256 is not a hash");
    for (const followers of ["", "x", "-1", "1.5"]) {
      const reason = parseSignalEntry(entry({ ...fields, followers }));
      if (followers !== "") expect(reason).toBe("followers is not a whole number");
    }
    const { followers: _, ...rest } = fields;
    expect(parseSignalEntry(entry(rest))).toBe("followers is not a whole number");
  });
});

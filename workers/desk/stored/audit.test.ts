import { describe, expect, test } from "bun:test";
import {
  changesOf,
  commandEvent,
  eventsOf,
  firedEvent,
  paidEvent,
  parseAuditEntry,
  type AuditEvent,
} from "./audit.ts";

const read = (...lines: string[]): AuditEvent[] => [...eventsOf({ events: lines.join("\n") })];

describe("an event is read as it was written", () => {
  test("a command that was executed, with what it moved", () => {
    const line = { name: "SET_BUY_AMOUNT", user: "alice", symbol: "ABC", cents: 500 };
    expect(read(commandEvent(7, line, "", [300, -500]))).toEqual([
      { kind: "command", transaction: 7, ...line, file: "", refusal: "", movedCents: [300, -500] },
    ]);
  });

  test("a command that was refused, with as much as could be read of it", () => {
    const line = { name: "", user: "", symbol: "", cents: 0, more: { file: "a.log" } };
    expect(read(commandEvent(7, line, "COMMAND_UNKNOWN", []))).toEqual([
      {
        kind: "command",
        transaction: 7,
        name: "",
        user: "",
        symbol: "",
        cents: 0,
        file: "a.log",
        refusal: "COMMAND_UNKNOWN",
        movedCents: [],
      },
    ]);
  });

  test("a trigger that fired, under the transaction that set it", () => {
    const fired = { transaction: 7, shares: 3, totalCents: 900, movedCents: [100] };
    const of = { user: "alice", symbol: "ABC", priceCents: 300 };
    const common = { kind: "fired", transaction: 7, ...of, shares: 3, movedCents: [100] } as const;
    expect(read(firedEvent("buy", of, fired), firedEvent("sell", of, fired))).toEqual([
      { ...common, name: "SET_BUY_TRIGGER" },
      { ...common, name: "SET_SELL_TRIGGER" },
    ]);
  });

  test("an answer that was paid for", () => {
    const answer = { symbol: "ABC", priceCents: 250, quoteTimeMs: 9, cryptokey: "a+/=", user: "u" };
    expect(read(paidEvent(7, answer))).toEqual([
      {
        kind: "quote",
        transaction: 7,
        user: "u",
        symbol: "ABC",
        priceCents: 250,
        sourceTimeMs: 9,
        cryptokey: "a+/=",
      },
    ]);
  });

  test("many accounts in one transaction: a stake is taken from one account, and the others receive money", () => {
    expect(
      read("m,7,STAKE,s0_a|1,x,100;,y,50;", "m,8,RETURN,s0_a|1,x,0;", "m,9,DEPOSIT,|d1,x,5;"),
    ).toEqual([
      {
        kind: "account",
        transaction: 7,
        name: "STAKE",
        id: "s0_a.1",
        user: "x",
        movedCents: [-100],
      },
      { kind: "account", transaction: 7, name: "STAKE", id: "s0_a", user: "y", movedCents: [-50] },
      { kind: "account", transaction: 8, name: "RETURN", id: "s0_a.1", user: "x", movedCents: [] },
      { kind: "account", transaction: 9, name: "DEPOSIT", id: "d1", user: "x", movedCents: [5] },
    ]);
  });

  test("a server that started", () => {
    expect(read("s,7,up")).toEqual([{ kind: "system", transaction: 7, user: "", what: "up" }]);
  });
});

test("an event of an unknown kind is an error, never skipped: sums would be wrong", () => {
  expect(() => read("s,7,up", "x,8,y")).toThrow(TypeError);
  expect(() => read("")).toThrow(TypeError);
});

describe("an entry", () => {
  const fields = { at: "1800000000000", server: "d1", users: "a b", events: "s,7,up" };
  const parse = (changes: Readonly<Record<string, string>>) =>
    parseAuditEntry(new Map(Object.entries({ ...fields, ...changes })));

  test("has user, time, event and changes", () => {
    const entry = parse({ balances: "a\n5\nb\n7", contracts: "0#0 s0_a ABC", later: "x" });
    expect(entry).toMatchObject({
      atMs: 1_800_000_000_000,
      server: "d1",
      users: ["a", "b"],
      events: "s,7,up",
      contracts: "0#0 s0_a ABC",
      closePriceMicros: "",
    });
    expect([...(entry?.changed.keys() ?? [])]).toEqual(["balances"]);
    expect([...changesOf(entry?.changed.get("balances") ?? "")]).toEqual([
      ["a", "5"],
      ["b", "7"],
    ]);
  });

  test("is invalid without a time, or without events", () => {
    for (const at of ["", "0", "-1", "x", "1.5"]) expect(parse({ at })).toBeUndefined();
    const { events: _, ...rest } = fields;
    expect(parseAuditEntry(new Map(Object.entries(rest)))).toBeUndefined();
  });
});

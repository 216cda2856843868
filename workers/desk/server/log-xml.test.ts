import { describe, expect, test } from "bun:test";
import type { StoredEntry } from "../audit/port.ts";
import { commandEvent, firedEvent, paidEvent } from "../stored/audit.ts";
import { logOf } from "./log-xml.ts";

const entry = (...events: string[]): StoredEntry => ({
  partition: 0,
  id: "1-0",
  fields: new Map([
    ["at", "1800000000000"],
    ["server", "d1"],
    ["events", events.join("\n")],
  ]),
});

const BUY = { name: "BUY", user: "ann", symbol: "ABC", cents: 5_000 };

/** The elements of a log by name, and the content of each. */
function elements(text: string): [name: string, children: Record<string, string>][] {
  return [...text.matchAll(/ {2}<(\w+)>\n(.*?) {2}<\/\1>\n/gs)].map(([, name = "", body = ""]) => [
    name,
    Object.fromEntries(
      [...body.matchAll(/<(\w+)>(.*?)<\/\1>/g)].map(([, child = "", value = ""]) => [child, value]),
    ),
  ]);
}

const HEAD = { timestamp: "1800000000000", server: "d1", transactionNum: "7" };

describe("the log contains", () => {
  test("a command with the fields that it has, and no others", () => {
    expect(elements(logOf(entry(commandEvent(7, BUY, "", []))))).toEqual([
      [
        "userCommand",
        { ...HEAD, command: "BUY", username: "ann", stockSymbol: "ABC", funds: "50.00" },
      ],
    ]);
    const dump = {
      ...BUY,
      name: "DUMPLOG",
      user: "",
      symbol: "",
      cents: 0,
      more: { file: "a.xml" },
    };
    expect(elements(logOf(entry(commandEvent(7, dump, "", []))))).toEqual([
      ["userCommand", { ...HEAD, command: "DUMPLOG", filename: "a.xml" }],
    ]);
  });

  test("a refused command again as an error, with its public sentence", () => {
    const [, [name, children] = ["", {}]] = elements(
      logOf(entry(commandEvent(7, BUY, "BALANCE_TOO_LOW", []))),
    );
    expect(name).toBe("errorEvent");
    expect(children).toMatchObject({
      command: "BUY",
      errorMessage: "The balance does not cover the amount.",
    });
  });

  test("each movement of money, added or removed, as an amount above zero", () => {
    const set = { ...BUY, name: "SET_BUY_AMOUNT" };
    const moved = elements(logOf(entry(commandEvent(7, set, "", [300, -500])))).slice(1);
    expect(moved).toEqual([
      ["accountTransaction", { ...HEAD, action: "add", username: "ann", funds: "3.00" }],
      ["accountTransaction", { ...HEAD, action: "remove", username: "ann", funds: "5.00" }],
    ]);
  });

  test("a paid quote, and a trigger that fired", () => {
    const answer = {
      symbol: "ABC",
      priceCents: 250,
      quoteTimeMs: 9,
      cryptokey: "k==",
      user: "ann",
    };
    const of = { user: "ann", symbol: "ABC", priceCents: 300 };
    const fired = { transaction: 7, shares: 3, totalCents: 900, movedCents: [] };
    expect(elements(logOf(entry(paidEvent(7, answer), firedEvent("buy", of, fired))))).toEqual([
      [
        "quoteServer",
        {
          ...HEAD,
          price: "2.50",
          stockSymbol: "ABC",
          username: "ann",
          quoteServerTime: "9",
          cryptokey: "k==",
        },
      ],
      [
        "systemEvent",
        {
          ...HEAD,
          command: "SET_BUY_TRIGGER",
          username: "ann",
          stockSymbol: "ABC",
          funds: "3.00",
        },
      ],
    ]);
  });
});

test("what the schema cannot express is omitted, but no money", () => {
  const unknown = { ...BUY, name: "FLY" };
  const answer = { symbol: "R_100", priceCents: 250, quoteTimeMs: 9, cryptokey: "k", user: "ann" };
  const text = logOf(
    entry(
      commandEvent(7, unknown, "COMMAND_UNKNOWN", []),
      paidEvent(7, answer),
      "s,7,up",
      "m,7,DEPOSIT,|d,ann,5;",
    ),
  );
  expect(elements(text)).toEqual([
    ["accountTransaction", { ...HEAD, action: "add", username: "ann", funds: "0.05" }],
  ]);
});

test("a user's log contains that user's events, and no other user's", () => {
  const both = entry(
    commandEvent(7, BUY, "", []),
    commandEvent(11, { ...BUY, user: "bob" }, "", []),
  );
  expect(elements(logOf(both, "bob")).map(([, { username }]) => username)).toEqual(["bob"]);
  expect(elements(logOf(both))).toHaveLength(2);
  expect(logOf(both, "zoe")).toBe("");
});

test("text that looks like markup remains text", () => {
  const answer = { symbol: "ABC", priceCents: 1, quoteTimeMs: 9, cryptokey: "<a>&b", user: "ann" };
  expect(logOf(entry(paidEvent(7, answer)))).toContain("<cryptokey>&lt;a&gt;&amp;b</cryptokey>");
});

test("an invalid audit entry adds nothing to the log", () => {
  expect(logOf({ partition: 0, id: "1-0", fields: new Map([["x", "y"]]) })).toBe("");
});

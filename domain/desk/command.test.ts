import { describe, expect, test } from "bun:test";
import {
  DESK_COMMANDS,
  deskUserOf,
  formatDeskLine,
  isBlank,
  isRepeatable,
  MAX_LINE_BYTES,
  parseDeskLine,
  spokenBy,
} from "./command.ts";

describe("a line of the desk", () => {
  test.each([
    ["[12] BUY,alice,ABC,276.83 ", 12, { name: "BUY", symbol: "ABC", cents: 27_683 }],
    ["BUY,alice,ABC,276.83\r", null, { name: "BUY", symbol: "ABC", cents: 27_683 }],
    ["$ [7] COMMIT_BUY,alice", 7, { name: "COMMIT_BUY" }],
    ["[7] $ COMMIT_BUY,alice\t ", 7, { name: "COMMIT_BUY" }],
    ["[1]ADD,alice,0.01", 1, { name: "ADD", cents: 1 }],
    ["ADD,alice,10000000000.00", null, { name: "ADD", cents: 1_000_000_000_000 }],
    ["DUMPLOG,alice,./test.LOG-1", null, { name: "DUMPLOG", file: "test.LOG-1" }],
  ] as const)("%p is read", (line, n, command) => {
    expect(parseDeskLine(line)).toEqual({
      n,
      kind: "command",
      command: { user: "alice", symbol: "", cents: 0, file: "", ...command },
    });
  });

  test("DUMPLOG with a file alone names no user", () => {
    expect(parseDeskLine("[100] DUMPLOG,./testLOG")).toMatchObject({
      kind: "command",
      command: { user: "", file: "testLOG" },
    });
  });

  test.each([
    ["[9962] ADD,umhaEY4lil,-73280.58 ", "AMOUNT_INVALID"],
    ["ADD,a,0.00", "AMOUNT_INVALID"],
    ["ADD,a,1.005", "AMOUNT_INVALID"],
    ["ADD,a,1", "AMOUNT_INVALID"],
    ["ADD,a,1e5", "AMOUNT_INVALID"],
    ["ADD,a,10000000000.01", "AMOUNT_INVALID"],
    [`ADD,a,${"9".repeat(400)}.00`, "AMOUNT_INVALID"],
    ["ADD,a, 1.00", "AMOUNT_INVALID"],
    ["ADD,a,١.00", "LINE_NOT_TEXT"],
    ["ADD,a b,1.00", "USER_INVALID"],
    ["ADD,,1.00", "USER_INVALID"],
    [`ADD,${"a".repeat(65)},1.00`, "USER_INVALID"],
    ["BUY,a,abc,1.00", "SYMBOL_INVALID"],
    ["BUY,a,ABCD,1.00", "SYMBOL_INVALID"],
    ["BUY,a,,1.00", "SYMBOL_INVALID"],
    ["BUY,a,ABC", "ARGUMENTS_WRONG"],
    ["BUY,a,ABC,1.00,2", "ARGUMENTS_WRONG"],
    ["DUMPLOG", "ARGUMENTS_WRONG"],
    ["DUMPLOG,../etc/passwd", "FILE_INVALID"],
    ["DUMPLOG,a,/tmp/x", "FILE_INVALID"],
    ["DUMPLOG,..", "FILE_INVALID"],
    ["DUMPLOG,./..", "FILE_INVALID"],
    ["SELLOUT,a", "COMMAND_UNKNOWN"],
    ["add,a,1.00", "COMMAND_UNKNOWN"],
    ["constructor,a", "COMMAND_UNKNOWN"],
    ["[x] ADD,a,1.00", "COMMAND_UNKNOWN"],
    ["ADD,a,1.00\0", "LINE_NOT_TEXT"],
    ["ADD,a,1.00\xff", "LINE_NOT_TEXT"],
    ["A".repeat(MAX_LINE_BYTES + 1), "LINE_TOO_LONG"],
  ])("%p is refused", (line, code) => {
    expect(parseDeskLine(line)).toMatchObject({ kind: "refused", code });
  });

  test("a refused line names its sender, as far as it could be read", () => {
    expect(parseDeskLine("[9962] ADD,umhaEY4lil,-73280.58 ")).toEqual({
      n: 9962,
      kind: "refused",
      code: "AMOUNT_INVALID",
      read: { name: "ADD", user: "umhaEY4lil", symbol: "", cents: 0, file: "" },
    });
    expect(parseDeskLine("BUY,alice,abc,1.00")).toMatchObject({
      read: { user: "alice", cents: 0 },
    });
  });

  test("a line of blanks alone is no line", () => {
    expect(["", " ", "\r", "\t \r"].every(isBlank)).toBe(true);
    expect(isBlank("x")).toBe(false);
  });
});

describe("a sender for one user", () => {
  test("may send commands of that user, but of no other user and not of all users", () => {
    const own = parseDeskLine("[1] ADD,alice,1.00");
    expect(spokenBy("alice", own)).toBe(own);
    for (const line of ["[2] ADD,bob,1.00", "[2] ADD,bob,0.00", "[2] DUMPLOG,all.xml"]) {
      expect(spokenBy("alice", parseDeskLine(line))).toMatchObject({
        n: 2,
        kind: "refused",
        code: "USER_FORBIDDEN",
        read: { user: "alice" },
      });
    }
  });

  test("gets the error of a line that names no user", () => {
    const said = spokenBy("alice", parseDeskLine("HELLO"));
    expect(said).toMatchObject({ code: "COMMAND_UNKNOWN", read: { user: "alice" } });
  });
});

test("a person's desk user is their own id, or there is none: no two persons share one", () => {
  expect(deskUserOf("alice1")).toBe("alice1");
  for (const person of ["alice-1", "alice_1", "", "a".repeat(65), "alice\n"]) {
    expect(deskUserOf(person)).toBeUndefined();
  }
});

test("only a line that is numbered in a session, or changes nothing, can be sent twice", () => {
  expect(isRepeatable(parseDeskLine("[1] ADD,alice,1.00"), "s")).toBe(true);
  expect(isRepeatable(parseDeskLine("[1] ADD,alice,1.00"), "")).toBe(false);
  expect(isRepeatable(parseDeskLine("ADD,alice,1.00"), "s")).toBe(false);
  expect(isRepeatable(parseDeskLine("QUOTE,alice,ABC"), "")).toBe(true);
  expect(isRepeatable(parseDeskLine("ADD,alice,x"), "")).toBe(true);
});

test("a command written as a line parses to the same command", () => {
  const fields = { user: "alice", symbol: "ABC", cents: 12_345, file: "log.xml" };
  for (const name of DESK_COMMANDS) {
    const read = parseDeskLine(formatDeskLine(7, { ...fields, name }));
    expect(read).toMatchObject({ n: 7, kind: "command", command: { name, user: "alice" } });
  }
});

import { expect, test } from "bun:test";
import { MAX_LINE_BYTES, parseDeskLine } from "../../../domain/desk/command.ts";
import { workloadLine } from "./line.ts";

test.each([
  ["[12] ADD,alice,1.00 ", "alice", "[7] ADD,alice,1.00"],
  ["ADD,alice,1.00\r", "alice", "[7] ADD,alice,1.00"],
  ["$ [12] COMMIT_BUY,alice", "alice", "[7] COMMIT_BUY,alice"],
  ["[12] $ COMMIT_BUY,alice\t", "alice", "[7] COMMIT_BUY,alice"],
  ["[9962] ADD,umhaEY4lil,-73280.58 ", "umhaEY4lil", "[7] ADD,umhaEY4lil,-73280.58"],
  ["[1] DUMPLOG,alice,./log", "alice", "[7] DUMPLOG,alice,./log"],
  ["[1] DUMPLOG,./log", "", "[7] DUMPLOG,./log"],
  ["[1] NONSENSE", "", "[7] NONSENSE"],
])("%p is sent in its user's order, under the number of its place", (raw, user, text) => {
  expect(workloadLine(raw, 7)).toMatchObject({ n: 7, user, text });
  expect(parseDeskLine(text).n).toBe(7);
});

test("a blank line does not count", () => {
  expect(["", "  ", "\r", " \t\r"].map((raw) => workloadLine(raw, 1))).toEqual(
    Array.from({ length: 4 }, () => undefined),
  );
});

test("a line of a megabyte is cut to a length that is still refused", () => {
  const line = workloadLine(`ADD,alice,${"9".repeat(1_000_000)}.00`, 1);
  expect(line?.text.length).toBeLessThan(3 * MAX_LINE_BYTES);
  expect(parseDeskLine(line?.text ?? "")).toMatchObject({ code: "LINE_TOO_LONG" });
});

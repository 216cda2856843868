import { expect, test } from "bun:test";
import { DESK_COMMANDS } from "../../../domain/desk/command.ts";
import { changeWords } from "./wording.ts";

const change = { transaction: 1, symbol: "ABC", cents: 123_456, shares: 1_000, atMs: 1 };

test("a change is told in a sentence with its money and shares", () => {
  expect(changeWords({ ...change, command: "COMMIT_BUY" })).toBe("Bought 1,000 ABC for $1,234.56");
  expect(changeWords({ ...change, command: "ADD", symbol: null })).toBe("Added $1,234.56");
});

test("every command that changes an account has a sentence of its own", () => {
  const silent = /^(QUOTE|BUY|SELL|CANCEL_BUY|CANCEL_SELL|DUMPLOG|DISPLAY_SUMMARY)$/;
  for (const command of [...DESK_COMMANDS.filter((each) => !silent.test(each)), "BOUGHT", "SOLD"]) {
    expect(changeWords({ ...change, command })).not.toInclude(command);
  }
});

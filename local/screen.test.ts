import { expect, test } from "bun:test";
import type { Status } from "./process.ts";
import { Screen } from "./screen.ts";

const SINCE_MS = new Date(2026, 0, 2, 3, 4, 5).getTime();
const desk: Status = { name: "desk", state: "ready", pid: 12, restarts: 0, sinceMs: SINCE_MS };

function collect(terminal: { isTTY?: boolean; columns?: number }) {
  const parts: string[] = [];
  return { parts, out: { ...terminal, write: (text: string) => parts.push(text) } };
}

test("if lines cannot be redrawn, each change is one line and nothing is printed twice", () => {
  const { parts, out } = collect({});
  const screen = new Screen(out);
  screen.show([desk]);
  screen.show([desk]);
  screen.say("a message");
  screen.show([{ ...desk, state: "waiting", pid: undefined, restarts: 1 }]);
  expect(parts).toEqual([
    "  desk        ready     pid 12        restarts 0     since 03:04:05\n",
    "a message\n",
    "  desk        waiting   pid -         restarts 1     since 03:04:05\n",
  ]);
});

test("on a terminal the status lines are redrawn below the messages, and never wrap", () => {
  const { parts, out } = collect({ isTTY: true, columns: 20 });
  const screen = new Screen(out);
  screen.show([desk, desk]);
  screen.say("a message");
  const drawn = ["  desk        ready\n", "  desk        ready\n"];
  expect(parts).toEqual([...drawn, "\u001B[2A\u001B[J", "a message\n", ...drawn]);
});

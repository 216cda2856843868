import { existsSync, readFileSync, renameSync, writeFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { parseAnswer } from "../../../domain/desk/quote.ts";
import { DAY_TRADING } from "../../../tests/support/data.ts";
import { freePort } from "../../../tests/support/ports.ts";
import { startRole, type RoleProcess } from "../../../tests/support/role.ts";
import { exchange } from "../../../tests/support/tcp.ts";
import { legacyLatencyMs } from "./asked.ts";

const dir = mkdtempSync(join(tmpdir(), "fanfare-simulator-"));
const file = join(dir, "prices");
let port: number;
let simulator: RoleProcess;

beforeAll(async () => {
  port = await freePort();
  simulator = await startRole("simulator", {
    FANFARE_SIMULATOR_ASKED_PORT: String(port),
    FANFARE_SIMULATOR_STREAMING_PORT: String(await freePort()),
    FANFARE_SIMULATOR_PRICES: file,
  });
});

afterAll(async () => {
  expect(await simulator.stop()).toBe(0);
  rmSync(dir, { recursive: true });
});

function fixPrices(text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

test("a question gets an answer in the legacy protocol, with two decimals", async () => {
  const line = await exchange(port, "ABC,me\n");
  expect(line).toMatch(/^\d+\.\d\d,ABC,me,\d{13},[A-Za-z0-9+/]{54}==\n$/);
  expect(parseAnswer(line.trimEnd(), "ABC", "me")).toBeDefined();
});

test.each([
  ["another protocol", "GET / HTTP/1.1\r\n\r\n"],
  ["a field too few", "ABC\n"],
  ["a field too many", "ABC,me,you\n"],
  ["a symbol that is none", "a b,me\n"],
  ["bytes that are no text", "\xff\xfe\0\n"],
  ["an empty line", "\n"],
  ["a line without end", "A".repeat(4_096)],
])("%s is closed without an answer, and the next question gets its own", async (_what, text) => {
  expect(await exchange(port, text)).toBe("");
  expect(await exchange(port, "ABC,me\n")).toContain(",ABC,me,");
});

test("a file fixes prices, and a half-written file changes nothing", async () => {
  fixPrices("ABC,12.34\nXYZ,0.01\n");
  expect(await exchange(port, "ABC,me\n")).toStartWith("12.34,ABC,");
  expect(await exchange(port, "XYZ,me\n")).toStartWith("0.01,XYZ,");
  fixPrices("ABC,99.9");
  expect(await exchange(port, "ABC,me\n")).toStartWith("12.34,ABC,");
  fixPrices("");
  expect(await exchange(port, "ABC,me\n")).not.toStartWith("12.34,ABC,");
});

test("all other symbols can be fixed at once, and a symbol without a price gets no answer", async () => {
  fixPrices("ABC,12.34\n*,5.00\nNON,-\n");
  expect(await exchange(port, "ABC,me\n")).toStartWith("12.34,ABC,");
  expect(await exchange(port, "XYZ,me\n")).toStartWith("5.00,XYZ,");
  expect(await exchange(port, "NON,me\n")).toBe("");
  fixPrices("ABC,12.34\n*,-\n");
  expect(await exchange(port, "XYZ,me\n")).toBe("");
  // A streamed symbol continues its walk, for clients of the stream.
  expect(await exchange(port, "EUR/USD,me\n")).toContain(",EUR/USD,me,");
});

const REAL_LATENCIES = join(DAY_TRADING, "quote-server-latency-seconds.csv");
const realMs = existsSync(REAL_LATENCIES)
  ? readFileSync(REAL_LATENCIES, "utf8")
      .trimEnd()
      .split("\n")
      .map((text) => Number(text) * 1_000)
  : [];
if (realMs.length === 0) {
  console.log("not run: the latencies of a real quote server are not on this machine");
}

test.skipIf(realMs.length === 0)(
  "in legacy mode answers are slow as often as those of the real server",
  () => {
    const simulated = Array.from({ length: 5_000 }, (_, answer) => legacyLatencyMs(1, answer));
    const shareBelow = (list: readonly number[], ms: number): number =>
      list.filter((each) => each < ms).length / list.length;
    for (const ms of [7, 100, 1_500, 2_500, 3_500, 4_100]) {
      expect(Math.abs(shareBelow(simulated, ms) - shareBelow(realMs, ms))).toBeLessThan(0.03);
    }
  },
);

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readLines } from "./read-lines.ts";

const dir = mkdtempSync(join(tmpdir(), "fanfare-lines-"));
afterAll(() => rmSync(dir, { recursive: true }));

async function readAll(content: string | Uint8Array): Promise<string[]> {
  const file = join(dir, "file");
  writeFileSync(file, content);
  const lines: string[] = [];
  for await (const piece of readLines(file)) lines.push(...piece.lines);
  return lines;
}

test("lines are complete however the file is cut into pieces, and the last needs no newline", async () => {
  const lines = Array.from({ length: 60_000 }, (_, n) => `[${n}] ADD,user${n},1.00`);
  expect(await readAll(lines.join("\n"))).toEqual(lines);
  expect(await readAll(`${lines.join("\n")}\n`)).toEqual(lines);
});

test("bytes that are not text are kept, one for each character", async () => {
  expect(await readAll(new Uint8Array([65, 0xff, 0xc3, 10, 66]))).toEqual(["A\u00ff\u00c3", "B"]);
});

test("a line that does not end is cut, and the next one is complete", async () => {
  const [long = "", next] = await readAll(`${"9".repeat(5_000_000)}\nADD,alice,1.00\n`);
  expect(long.length).toBeLessThan(1_500_000);
  expect(next).toBe("ADD,alice,1.00");
});

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const setup = join(import.meta.dir, "../setup.ts");
const needs = join(import.meta.dir, "../support/needs.ts");
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "fanfare-needs-"));
  writeFileSync(
    join(folder, "one.test.ts"),
    `import { test } from "bun:test";
     import { need } from "${needs}";
     test.skipIf(!need("A machine's part", false, "not found"))("one", () => {});
     test.skipIf(!need("Another", true, "not found"))("other", () => {});`,
  );
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function run(CI: string): Promise<{ exitCode: number; lines: string[] }> {
  const child = Bun.spawn([process.execPath, "test", "--preload", setup], {
    cwd: folder,
    env: { ...process.env, CI },
    stdout: "ignore",
    stderr: "pipe",
  });
  const text = await new Response(child.stderr).text();
  return { exitCode: await child.exited, lines: text.split("\n") };
}

test("a missing tool is reported in one line, and the run passes", async () => {
  const { exitCode, lines } = await run("false");
  expect(exitCode).toBe(0);
  expect(lines.filter((line) => line.includes("not run here"))).toEqual([
    "not run here: A machine's part (not found)",
  ]);
});

test("if CI is true, a missing tool is a failure", async () => {
  const { exitCode } = await run("true");
  expect(exitCode).not.toBe(0);
});

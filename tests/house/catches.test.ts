/** No error is dropped silently: a catch uses its error, or a comment says why it need not. */
import { expect, test } from "bun:test";

const FOLDERS = "{app,client,domain,edge,http,local,redis,workers}/**/*.{ts,mjs,vue}";

/**
 * The lines of catches that neither use their error nor have a comment beside them, above them, or
 * first in them.
 */
function dropped(text: string): number[] {
  const lines = text.split("\n");
  return lines.flatMap((line, index) => {
    const drops = /\bcatch \{/.test(line) || /\.catch\(\(\)/.test(line);
    const near = [lines[index - 2], lines[index - 1], line, lines[index + 1]].slice(
      // A comment two lines above a block belongs to the try block.
      /\bcatch \{/.test(line) ? 2 : 0,
    );
    return drops && !near.some((each) => /\/\/|^\s*\*/.test(each ?? "")) ? [index + 1] : [];
  });
}

test("every catch uses its error, or says why it does not", async () => {
  const found: string[] = [];
  for (const path of new Bun.Glob(FOLDERS).scanSync(".")) {
    if (path.includes("node_modules") || path.includes("/dist/") || path.includes(".test."))
      continue;
    found.push(...dropped(await Bun.file(path).text()).map((line) => `${path}:${line}`));
  }
  expect(found).toEqual([]);
});

test("a catch that drops its error silently is found", () => {
  expect(dropped("try {\n  go();\n} catch {\n  return;\n}")).toEqual([3]);
  expect(dropped("go().catch(() => undefined);")).toEqual([1]);
  expect(dropped("try {\n  go();\n} catch {\n  // It is gone.\n}")).toEqual([]);
  expect(dropped("// It is gone.\ngo().catch(() => undefined);")).toEqual([]);
  expect(dropped("go().catch((error: unknown) => log(error));")).toEqual([]);
});

/** docs/GLOSSARY.md and the exported types of `domain/` name the same things. */
import { expect, test } from "bun:test";

const ENTRY = /^- \*\*([^*]+)\*\*(?: \(((?:`\w+`(?:, )?)+)\))?[,:] \S.*\.$/;
const DECLARED = /^export (?:declare )?(?:interface|type|class|enum) (\w+)/gm;

interface Entry {
  readonly term: string;
  readonly types: readonly string[];
}

async function readEntries(): Promise<Entry[]> {
  const page = await Bun.file("docs/GLOSSARY.md").text();
  const lines = page.split("\n").filter((line) => line.startsWith("- "));
  return lines.map((line) => {
    const [, term = "", names = ""] = ENTRY.exec(line) ?? [];
    expect({ line, term }).not.toEqual({ line, term: "" });
    return { term, types: names.match(/\w+/g) ?? [] };
  });
}

async function readExportedTypes(): Promise<Set<string>> {
  const names = new Set<string>();
  for (const path of new Bun.Glob("domain/**/*.ts").scanSync(".")) {
    if (path.endsWith(".test.ts")) continue;
    for (const [, name = ""] of (await Bun.file(path).text()).matchAll(DECLARED)) names.add(name);
  }
  expect(names.size).toBeGreaterThan(50);
  return names;
}

test("every exported type of domain/ is in the glossary", async () => {
  const named = new Set((await readEntries()).flatMap(({ types }) => types));
  expect([...(await readExportedTypes())].filter((name) => !named.has(name))).toEqual([]);
});

test("the glossary names no type that domain/ does not export", async () => {
  const exported = await readExportedTypes();
  const named = (await readEntries()).flatMap(({ types }) => types);
  expect(named.filter((name) => !exported.has(name))).toEqual([]);
});

test("the glossary has each term once, in alphabetical order", async () => {
  const terms = (await readEntries()).map(({ term }) => term);
  expect(terms).toEqual([...new Set(terms)].toSorted((a, b) => a.localeCompare(b, "en")));
});

/** Every decision record in docs/adr has the same format. */
import { expect, test } from "bun:test";

const NAMES = [...new Bun.Glob("*.md").scanSync("docs/adr")].toSorted();
const SECTIONS = ["Context", "Decision", "Consequences"];

test("decision records are numbered from 1, without a gap", () => {
  expect(NAMES.length).toBeGreaterThan(20);
  expect(NAMES.map((name) => Number(name.slice(0, 4)))).toEqual(NAMES.map((_, index) => index + 1));
});

test.each(NAMES)("%s has its number as title, a status and the three sections", async (name) => {
  const [title = "", blank, status = "", ...rest] = (
    await Bun.file(`docs/adr/${name}`).text()
  ).split("\n");
  expect(title).toStartWith(`# ${Number(name.slice(0, 4))}. `);
  expect(blank).toBe("");
  expect(status).toMatch(/^\*\*Status:\*\* (?:accepted|superseded by )/);
  const sections = rest.filter((line) => line.startsWith("#")).map((line) => line.slice(3));
  expect(sections).toEqual(SECTIONS);
});

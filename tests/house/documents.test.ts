/** The documents agree with the code. */
import { expect, test } from "bun:test";
import { findOmissions, type Lockfile } from "../../scripts/lockfile.ts";
import { failureModes, FAILURE_MODES_PATH } from "../../scripts/docs.ts";

const read = (path: string): Promise<string> => Bun.file(path).text();

/** Bun's globs find nothing if one of several alternatives in braces has a slash. */
function findPages(...patterns: readonly string[]): string[] {
  const pages = patterns.flatMap((pattern) => [...new Bun.Glob(pattern).scanSync(".")]);
  expect(pages.length).toBeGreaterThan(patterns.length);
  return pages;
}

interface Manifest {
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
}

/** The names in the first column of the tables under one heading. */
function namesUnder(page: string, heading: string): string[] {
  const section = page.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  return [...section.matchAll(/^\| `([^`]+)` +\| *\S.*\|$/gm)].map((match) => match[1] ?? "");
}

test("docs/failure-modes.md names every error code, skip and rejection that the domain has", async () => {
  expect(await read(FAILURE_MODES_PATH)).toBe(failureModes());
});

test("docs/dependencies.md gives a reason for each dependency, and lists no other", async () => {
  const page = await read("docs/dependencies.md");
  const manifest = JSON.parse(await read("package.json")) as Manifest;
  expect(namesUnder(page, "What runs").toSorted()).toEqual(Object.keys(manifest.dependencies));
  expect(namesUnder(page, "What builds and tests").toSorted()).toEqual(
    Object.keys(manifest.devDependencies),
  );
});

test("package.json pins every dependency to one version", async () => {
  const manifest = JSON.parse(await read("package.json")) as Manifest;
  for (const [name, version] of Object.entries({
    ...manifest.dependencies,
    ...manifest.devDependencies,
  })) {
    expect(`${name} ${version}`).toMatch(/ \d+\.\d+\.\d+$/);
  }
});

test("package-lock.json contains every package, and no address that a machine may not reach", async () => {
  const lock = JSON.parse(await read("package-lock.json")) as Lockfile;
  // If a package is missing here, `npm ci` fails everywhere: `bun scripts/lockfile.ts` adds it.
  expect(findOmissions(lock)).toEqual([]);
  const addresses = Object.values(lock.packages).flatMap((each) => each.resolved ?? []);
  expect(addresses).toEqual([]);
});

test("the README's links and docs' links lead to files that exist", async () => {
  const pages = findPages("*.md", "docs/**/*.md");
  const dead: string[] = [];
  for (const page of pages) {
    for (const [, target = ""] of (await read(page)).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)) {
      const path = new URL(target, `file:///${page}`).pathname.slice(1);
      if (!(await Bun.file(path).exists())) dead.push(`${page} → ${target}`);
    }
  }
  expect(dead).toEqual([]);
});

test("each of our files that the README and the docs name exists", async () => {
  const named =
    /`((?:app|bench|domain|edge|http|local|redis|scripts|tests|workers)\/[\w./-]+\.\w+)`/g;
  const missing: string[] = [];
  for (const page of findPages("README.md", "docs/**/*.md")) {
    for (const [, path = ""] of (await read(page)).matchAll(named)) {
      if (!(await Bun.file(path).exists())) missing.push(`${page}: ${path}`);
    }
  }
  expect(missing).toEqual([]);
});

test("docs/ARCHITECTURE.md fits on five pages", async () => {
  const words = (await read("docs/ARCHITECTURE.md")).split(/\s+/).length;
  expect(words).toBeLessThan(3_000);
});

/** The import rules catch what they are there to catch. */
import { afterAll, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

const house = mkdtempSync(join(tmpdir(), "fanfare-house-"));
for (const file of [".dependency-cruiser.mjs", "package.json", "tsconfig.json"]) {
  cpSync(file, join(house, file));
}
symlinkSync(resolve("node_modules"), join(house, "node_modules"));
afterAll(() => {
  rmSync(house, { recursive: true, force: true });
});

/** Builds a house of these files, each importing what is named, and answers which rules they break. */
async function broken(files: Record<string, readonly string[]>): Promise<string[]> {
  const folders = new Set<string>();
  for (const [path, imports] of Object.entries(files)) {
    mkdirSync(dirname(join(house, path)), { recursive: true });
    writeFileSync(
      join(house, path),
      imports.map((from) => `import "${from}";\n`).join("") || "export {};\n",
    );
    folders.add(path.split("/")[0] ?? "");
  }
  const cruise = Bun.spawn(
    [
      "node_modules/.bin/node",
      "node_modules/.bin/depcruise",
      ...["--config", ".dependency-cruiser.mjs", "--output-type", "json", ...folders],
    ],
    { cwd: house, stdout: "pipe", stderr: "inherit" },
  );
  const report = (await new Response(cruise.stdout).json()) as {
    summary: { violations: { from: string; rule: { name: string } }[] };
  };
  for (const folder of folders) rmSync(join(house, folder), { recursive: true });
  return report.summary.violations.map(({ from, rule }) => `${from}: ${rule.name}`).toSorted();
}

test("every forbidden import is found, and named by its rule", async () => {
  const found = await broken({
    "app/main.ts": ["../edge/app.ts"],
    "domain/money.ts": ["node:fs"],
    "edge/app.ts": ["../workers/main.ts", "fast-check"],
    "edge/app.test.ts": ["../workers/main.ts"],
    "redis/keys.ts": ["valibot"],
    "workers/main.ts": ["@upstash/redis", "mongodb", "../tests/support/redis.ts"],
    "workers/one.ts": ["./two.ts"],
    "workers/two.ts": ["./one.ts"],
    "tests/support/redis.ts": [],
  });
  expect(found).toEqual([
    "app/main.ts: app-imports",
    "domain/money.ts: domain-is-pure",
    "edge/app.test.ts: tests-stay-in-their-folder",
    "edge/app.ts: development-only",
    "edge/app.ts: edge-imports",
    "redis/keys.ts: redis-is-text",
    "workers/main.ts: only-in-edge",
    "workers/main.ts: only-in-workers-records-mongo-audit-mongo-desk-audit-mongo-runtime-mongo",
    "workers/main.ts: tests-are-not-imported",
    "workers/main.ts: workers-imports",
    "workers/one.ts: no-cycles",
  ]);
}, 30_000);

test("what the house is built of is allowed", async () => {
  const found = await broken({
    "app/main.ts": ["../domain/money.ts", "vue"],
    "domain/money.ts": [],
    "edge/app.ts": ["../redis/keys.ts", "../domain/money.ts", "hono", "@upstash/redis"],
    "edge/app.test.ts": ["./app.ts", "../tests/support/redis.ts", "fast-check"],
    "redis/keys.ts": ["../domain/money.ts"],
    "tests/support/redis.ts": [],
    "tests/whole.test.ts": ["../edge/app.ts", "../workers/records/mongo/open.ts"],
    "workers/records/mongo/open.ts": ["mongodb", "../../../redis/keys.ts"],
  });
  expect(found).toEqual([]);
}, 30_000);

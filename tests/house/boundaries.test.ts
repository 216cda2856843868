/** The import rules find every forbidden import. */
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

/** Creates these files with these imports, and returns the broken rules. */
async function broken(
  files: Record<string, readonly string[]>,
  texts: Record<string, string> = {},
): Promise<string[]> {
  const folders = new Set<string>();
  const all = Object.entries(files).map(([path, imports]) => [
    path,
    imports.map((from) => `import "${from}";\n`).join("") || "export {};\n",
  ]);
  for (const [path = "", text = ""] of [...all, ...Object.entries(texts)]) {
    mkdirSync(dirname(join(house, path)), { recursive: true });
    writeFileSync(join(house, path), text);
    folders.add(path.split("/")[0] ?? "");
  }
  const cruise = Bun.spawn(
    [
      "node_modules/.bin/node",
      "node_modules/.bin/depcruise",
      "--config",
      ".dependency-cruiser.mjs",
      "--output-type",
      "json",
      ...folders,
    ],
    { cwd: house, stdout: "pipe", stderr: "inherit" },
  );
  const report = (await new Response(cruise.stdout).json()) as {
    summary: { violations: { from: string; rule: { name: string } }[] };
  };
  for (const folder of folders) rmSync(join(house, folder), { recursive: true });
  return report.summary.violations.map(({ from, rule }) => `${from}: ${rule.name}`).toSorted();
}

/** For each rule of folders: a file, an import that the rule forbids, and the rule's name. */
const FORBIDDEN: readonly [file: string, imported: string, rule: string][] = [
  ["domain/ids.ts", "node:fs", "domain-is-pure"],
  ["domain/money.ts", "./copier/plan.ts", "domain-top-is-shared"],
  ["domain/products/binary.ts", "../desk/rules.ts", "domain-products-are-shared"],
  ["domain/copier/decide.ts", "../desk/rules.ts", "domain-copier-and-desk-are-apart"],
  ["domain/desk/quote.ts", "../copier/plan.ts", "domain-copier-and-desk-are-apart"],
  ["redis/keys.ts", "valibot", "redis-is-text"],
  ["http/problem.ts", "../redis/script.ts", "http-imports"],
  ["http/body.ts", "node:fs", "http-runs-everywhere"],
  ["edge/log.ts", "node:fs", "http-runs-everywhere"],
  ["edge/app.ts", "../workers/main.ts", "edge-imports"],
  ["edge/tokens.ts", "fast-check", "development-only"],
  ["edge/app.test.ts", "../workers/main.ts", "tests-stay-in-their-folder"],
  ["workers/runtime/clock.ts", "../records/port.ts", "workers-runtime-imports"],
  ["workers/records/open.ts", "../copier/stored/job.ts", "workers-records-imports"],
  ["workers/venues/desk/client.ts", "../../desk/stored/keys.ts", "workers-venues-imports"],
  ["workers/venues/desk/api.ts", "../../../domain/copier/plan.ts", "desk-knows-no-copier-words"],
  ["workers/desk/server/dump.ts", "../../records/port.ts", "workers-desk-imports"],
  ["workers/desk/server/lane.ts", "../../../domain/copier/plan.ts", "desk-knows-no-copier-words"],
  ["workers/copier/place/place.ts", "../../desk/stored/keys.ts", "workers-copier-imports"],
  ["workers/copier/place/stops.ts", "../../../domain/desk/rules.ts", "copier-knows-no-desk-words"],
  ["workers/api/app.ts", "../commands/token.ts", "workers-api-imports"],
  ["workers/commands/token.ts", "../main.ts", "workers-commands-imports"],
  ["workers/commands/seed.ts", "../api/role.ts", "roles-are-started-not-imported"],
  ["tests/desk/one.test.ts", "../../workers/api/role.ts", "roles-are-started-not-imported"],
  ["workers/runtime/redis.ts", "@upstash/redis", "only-in-edge"],
  ["workers/records/port.ts", "mongodb", "only-in-mongo"],
  ["workers/desk/stored/keys.ts", "ioredis", "only-in-redis-cluster"],
  ["workers/api/role.ts", "vue", "only-in-app"],
  ["workers/main.ts", "../tests/support/redis.ts", "tests-are-not-imported"],
  ["local/main.ts", "../domain/money.ts", "local-imports"],
  ["app/main.ts", "../redis/keys.ts", "app-imports"],
  ["client/main.ts", "../redis/script.ts", "client-imports"],
  ["workers/copier/stored/job.ts", "./missing.ts", "resolvable"],
];

/** Files that others only import, or that are part of a circle. */
const OTHERS: Record<string, readonly string[]> = {
  "domain/copier/plan.ts": [],
  "domain/desk/rules.ts": [],
  "redis/script.ts": [],
  "tests/support/redis.ts": [],
  "workers/desk/one.ts": ["./two.ts"],
  "workers/desk/two.ts": ["./one.ts"],
};

test("every forbidden import is found, and named by its rule", async () => {
  const files: Record<string, string[]> = {};
  for (const [file, imported] of FORBIDDEN) (files[file] ??= []).push(imported);
  const found = await broken({ ...files, ...OTHERS });
  const wanted = FORBIDDEN.map(([file, , rule]) => `${file}: ${rule}`);
  expect(new Set(found)).toEqual(new Set([...wanted, "workers/desk/one.ts: no-circles"]));
}, 30_000);

test("each rule has an import that it catches", async () => {
  const { default: config } = (await import(resolve(".dependency-cruiser.mjs"))) as {
    default: { forbidden: { name: string }[] };
  };
  const caught = new Set([...FORBIDDEN.map(([, , rule]) => rule), "no-circles"]);
  expect(config.forbidden.map(({ name }) => name).filter((name) => !caught.has(name))).toEqual([]);
});

test("a circle of types alone is found", async () => {
  const found = await broken(
    {},
    {
      "domain/copier/one.ts":
        'import type { Two } from "./two.ts";\nexport interface One { two: Two }',
      "domain/copier/two.ts":
        'import type { One } from "./one.ts";\nexport interface Two { one: One }',
    },
  );
  expect(found).toEqual(["domain/copier/one.ts: no-circles"]);
}, 30_000);

test("the imports that the project uses are allowed", async () => {
  const found = await broken({
    "app/main.ts": ["../domain/money.ts", "vue"],
    "domain/money.ts": [],
    "domain/products/binary.ts": [],
    "domain/copier/decide.ts": ["../money.ts", "../products/binary.ts"],
    "domain/desk/quote.ts": ["../money.ts", "../products/binary.ts"],
    "http/operation.ts": ["hono", "valibot", "../domain/money.ts"],
    "edge/app.ts": ["../redis/keys.ts", "../http/operation.ts", "hono", "@upstash/redis"],
    "edge/app.test.ts": ["./app.ts", "../tests/support/redis.ts", "fast-check"],
    "redis/keys.ts": ["../domain/money.ts"],
    "tests/support/redis.ts": [],
    "tests/whole.test.ts": ["../edge/app.ts", "../workers/records/mongo/open.ts"],
    "workers/runtime/role.ts": ["../../redis/keys.ts"],
    "workers/runtime/mongo.ts": ["mongodb"],
    "workers/records/mongo/open.ts": ["mongodb", "../../runtime/mongo.ts"],
    "workers/venues/desk/api.ts": ["valibot", "../../../domain/products/binary.ts"],
    "workers/desk/server/role.ts": ["../../venues/desk/api.ts", "../../runtime/role.ts"],
    "workers/copier/place/role.ts": [
      "../../venues/desk/api.ts",
      "../../records/mongo/open.ts",
      "../../runtime/role.ts",
    ],
    "workers/api/app.ts": ["../copier/place/place.ts", "../../http/operation.ts"],
    "workers/copier/place/place.ts": ["../../../domain/copier/decide.ts"],
    "workers/commands/main.ts": ["../settings.ts", "./token.ts"],
    "workers/settings.ts": ["./commands/seed/env.ts"],
    "workers/commands/seed/env.ts": [],
    "workers/commands/token.ts": ["../api/app.ts", "../runtime/role.ts"],
    "workers/main.ts": ["./desk/server/role.ts", "./copier/place/role.ts", "./settings.ts"],
  });
  expect(found).toEqual([]);
}, 30_000);

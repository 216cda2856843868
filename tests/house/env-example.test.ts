/** `.env.example` and the settings schemas agree. */
import { expect, test } from "bun:test";
import { hostname } from "node:os";
import { EdgeSchema } from "../../edge/env.ts";
import { LocalSchema } from "../../local/env.ts";
import { isSecret } from "../../workers/runtime/env.ts";
import { SCHEMAS, SETTING_NAMES } from "../../workers/settings.ts";

interface Schema {
  readonly entries: Readonly<Record<string, unknown>>;
}

/** Every setting, with the default that its schema has. */
function settings(): Map<string, string | undefined> {
  const found = new Map<string, string | undefined>();
  for (const { entries } of [EdgeSchema, LocalSchema, ...SCHEMAS] as Schema[]) {
    for (const [name, entry] of Object.entries(entries)) {
      const { default: value } = entry as { readonly default?: string };
      // A default that depends on the machine cannot be shown.
      const shown = value === hostname() ? undefined : value;
      found.set(name, found.get(name) ?? shown);
    }
  }
  return found;
}

/** `NAME=default` for a setting with a default, `# NAME=` for one without. */
async function example(): Promise<Map<string, string | undefined>> {
  const text = await Bun.file(".env.example").text();
  const lines = text.matchAll(/^(# )?([A-Z][A-Z0-9_]*)=(.*)$/gm);
  return new Map([...lines].map(([, off, name = "", value]) => [name, off ? undefined : value]));
}

test(".env.example names every setting, with its default, and no other", async () => {
  const sorted = (map: Map<string, string | undefined>): [string, string | undefined][] =>
    [...map].toSorted(([a], [b]) => (a < b ? -1 : 1));
  expect(sorted(await example())).toEqual(sorted(settings()));
});

/** The schema of every role and command. */
async function schemasOfParts(): Promise<Schema[]> {
  const schemas: Schema[] = [];
  for (const path of new Bun.Glob("workers/**/*.ts").scanSync(".")) {
    const text = await Bun.file(path).text();
    const name = /^export const (role|command):/m.exec(text)?.[1];
    if (name === undefined) continue;
    const module = (await import(`../../${path}`)) as Record<string, { settings: Schema }>;
    schemas.push(module[name]!.settings);
  }
  return schemas;
}

test("every setting of every role and command is known to all processes", async () => {
  const schemas = await schemasOfParts();
  expect(schemas).toHaveLength(21);
  const names = schemas.flatMap(({ entries }) => Object.keys(entries));
  expect(names.filter((name) => !SETTING_NAMES.has(name))).toEqual([]);
});

test("every setting that is named a token, key, password or secret is marked as one", () => {
  const named = /_(TOKEN|KEY|PASSWORD|SECRET)$/;
  const open = (SCHEMAS as Schema[]).flatMap(({ entries }) =>
    Object.entries(entries).filter(
      ([name, entry]) => named.test(name) && !isSecret(entry as never),
    ),
  );
  expect(open.map(([name]) => name)).toEqual([]);
});

/** `.env.example` and the configuration schemas of the deployables say the same. */
import { expect, test } from "bun:test";
import { hostname } from "node:os";

interface Entry {
  readonly type: string;
  readonly default?: string;
}

/** Every setting of every deployable's `env.ts`, with the default that stands in its schema. */
async function settings(): Promise<Map<string, string | undefined>> {
  const found = new Map<string, string | undefined>();
  for (const path of ["edge/env.ts", "workers/runtime/env.ts", "local/env.ts"]) {
    const module = (await import(`../../${path}`)) as Record<string, { entries?: unknown }>;
    for (const { entries } of Object.values(module)) {
      for (const [name, entry] of Object.entries((entries ?? {}) as Record<string, Entry>)) {
        // A default that differs from machine to machine cannot be shown.
        const shown = entry.default === hostname() ? undefined : entry.default;
        found.set(name, found.get(name) ?? shown);
      }
    }
  }
  return found;
}

/** `NAME=default` for what has a default, `# NAME=` for what has none. */
async function example(): Promise<Map<string, string | undefined>> {
  const text = await Bun.file(".env.example").text();
  const lines = text.matchAll(/^(# )?([A-Z][A-Z0-9_]*)=(.*)$/gm);
  return new Map([...lines].map(([, off, name = "", value]) => [name, off ? undefined : value]));
}

test(".env.example names every setting there is, with its default, and no other", async () => {
  const sorted = (map: Map<string, string | undefined>): [string, string | undefined][] =>
    [...map].toSorted(([a], [b]) => (a < b ? -1 : 1));
  expect(sorted(await example())).toEqual(sorted(await settings()));
});

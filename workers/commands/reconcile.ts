/**
 * `npm run reconcile -- [--since 1h] [--signal ID] [--json FILE]`: compares and
 * prints every difference. Exits with 0 where there is none, 1 where there is
 * any, 2 where nothing could be compared.
 */
import { parseArgs } from "node:util";
import { isSignalId } from "../../domain/ids.ts";
import { MissingSetting, readEnv } from "../runtime/env.ts";
import { openSources } from "../copier/reconcile/connect.ts";
import { reconcile, type Scope } from "../copier/reconcile/reconcile.ts";
import { tableOf } from "../copier/reconcile/report.ts";
import type { Sources } from "../copier/reconcile/sources.ts";

const USAGE = `usage: npm run reconcile -- [--since 1h] [--signal ID] [--json FILE] [--grace 10s] [--unknown 1m]
A time is a number with ms, s, m, h or d.`;
const ANSWER_MS = 5_000;
const UNITS_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds; undefined where the text is no time. */
function durationMs(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  return unit === undefined ? undefined : Number(number) * UNITS_MS[unit as keyof typeof UNITS_MS];
}

/** A text says what is wrong with the words. */
function scopeOf(
  words: readonly string[],
  nowMs: number,
): { readonly scope: Scope; readonly json: string | undefined } | string {
  let values;
  try {
    const text = { type: "string" } as const;
    const options = { since: text, signal: text, json: text, grace: text, unknown: text };
    ({ values } = parseArgs({ args: [...words], options }));
  } catch {
    return USAGE;
  }
  const { signal, json } = values;
  const since = durationMs(values.since ?? (signal === undefined ? "1h" : "1d"));
  const graceMs = durationMs(values.grace ?? "10s");
  const unknownAfterMs = durationMs(values.unknown ?? "1m");
  if (since === undefined || graceMs === undefined || unknownAfterMs === undefined) return USAGE;
  const scope = { sinceMs: Math.max(0, nowMs - since), graceMs, unknownAfterMs };
  if (signal === undefined) return { scope, json };
  return isSignalId(signal) ? { scope: { ...scope, signal }, json } : USAGE;
}

/** A connection waits for as long as it takes, which is not what a person does. */
async function answers({ home, regions }: Sources): Promise<boolean> {
  const all = Promise.all([home, ...regions.values()].map((redis) => redis.send("PING", [])));
  const inTime = all.then(
    () => true,
    () => false,
  );
  return await Promise.race([inTime, Bun.sleep(ANSWER_MS).then(() => false)]);
}

async function main(): Promise<number> {
  const asked = scopeOf(process.argv.slice(2), Date.now());
  if (typeof asked === "string") {
    console.error(asked);
    return 2;
  }
  const env = readEnv(process.env);
  if (!env.ok) {
    console.error(env.faults.map((fault) => `configuration: ${fault}`).join("\n"));
    return 2;
  }
  try {
    const sources = await openSources(env.value);
    if (!(await answers(sources))) {
      console.error("nothing could be compared: no answer from Redis");
      return 2;
    }
    const found = await reconcile(sources, asked.scope);
    console.log(tableOf(found));
    if (asked.json !== undefined)
      await Bun.write(asked.json, `${JSON.stringify(found, null, 2)}\n`);
    await sources.close();
    return found.differences.length === 0 ? 0 : 1;
  } catch (error) {
    // A library's message may hold an address with its password.
    const told = error instanceof MissingSetting ? error.message : (error as Error).name;
    console.error(`nothing could be compared: ${told}`);
    return 2;
  }
}

if (import.meta.main) process.exit(await main());

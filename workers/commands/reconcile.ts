/**
 * `npm run reconcile -- [--since 1h] [--signal ID] [--json FILE]`: compares and
 * prints every difference.
 */
import { isSignalId } from "../../domain/ids.ts";
import { openSources } from "../copier/reconcile/connect.ts";
import { ReconcileEnv } from "../copier/reconcile/env.ts";
import { reconcile, type Scope } from "../copier/reconcile/reconcile.ts";
import { tableOf } from "../copier/reconcile/report.ts";
import { WordsError, type Command } from "./command.ts";

const USAGE = `usage: npm run reconcile -- [--since 1h] [--signal ID] [--json FILE] [--grace 10s] [--unknown 1m]
A time is a number with ms, s, m, h or d.`;
const UNITS_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

interface Asked extends Omit<Scope, "sinceMs"> {
  /** How far back. */
  readonly backMs: number;
  readonly json: string | undefined;
}

export const command: Command<typeof ReconcileEnv, Asked> = {
  description: "compares Redis, records and brokers, and prints every difference",
  usage: USAGE,
  exits: {
    0: "there is no difference",
    1: "the differences are printed",
    2: "nothing could be compared, or the words or the settings cannot be read",
  },
  settings: ReconcileEnv,
  failure: { says: "nothing could be compared", exit: 2 },
  declare: (words) =>
    words
      .option("--since <time>", "how far back, such as 1h (default: 1h; of one signal 1d)")
      .option("--signal <id>", "only this signal")
      .option("--json <file>", "also write all findings to this file")
      .option("--grace <time>", "younger signals are not compared yet", "10s")
      .option("--unknown <time>", "a copy that is unknown for longer is a difference", "1m"),
  read(words) {
    const { since, signal, json, grace, unknown } = words.opts<{
      since?: string;
      signal?: string;
      json?: string;
      grace: string;
      unknown: string;
    }>();
    const backMs = durationMs(since ?? (signal === undefined ? "1h" : "1d"));
    const times = { backMs, graceMs: durationMs(grace), unknownAfterMs: durationMs(unknown) };
    if (signal === undefined) return { ...times, json };
    if (!isSignalId(signal)) throw new WordsError();
    return { ...times, json, signal };
  },
  async run(context, { backMs, json, ...scope }) {
    const sources = await openSources(context);
    try {
      const sinceMs = Math.max(0, context.clock.nowMs() - backMs);
      const found = await reconcile(sources, { ...scope, sinceMs });
      console.log(tableOf(found));
      if (json !== undefined) await Bun.write(json, `${JSON.stringify(found, null, 2)}\n`);
      return found.differences.length === 0 ? 0 : 1;
    } finally {
      await sources.records.close();
    }
  },
};

/** Milliseconds. */
function durationMs(text: string): number {
  const [, number, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  if (unit === undefined) throw new WordsError();
  return Number(number) * UNITS_MS[unit as keyof typeof UNITS_MS];
}

/** The words of `npm run desk:workload`, as the command that brings a desk up and the one that drives it read them. */
import { statSync } from "node:fs";
import { parseArgs } from "node:util";

export interface WorkloadOptions {
  readonly file: string;
  readonly connections: number;
  /** None: the desk that the settings name. */
  readonly urls: readonly string[];
  /** Lines a second, at their own times, in place of each user waiting for each reply. */
  readonly ratePerSecond: number | undefined;
  readonly books: string | undefined;
  readonly log: string | undefined;
  readonly json: string | undefined;
}

export type OptionsResult =
  | { readonly ok: true; readonly value: WorkloadOptions }
  | { readonly ok: false; readonly fault: string };

const USAGE = `usage: npm run desk:workload -- FILE [--connections N] [--url URL,…] [--rate N]
       [--prices FILE | --price 5.00] [--books FILE] [--log FILE] [--json FILE]
Without --url a desk is brought up on temporary data and taken down afterwards; prices can be fixed only there.`;
const MAX_CONNECTIONS = 4_096;
const MAX_RATE = 10_000_000;

export function optionsOf(words: readonly string[]): OptionsResult {
  const wrong = (what: string): OptionsResult => ({ ok: false, fault: `${what}\n${USAGE}` });
  let parsed;
  try {
    const text = { type: "string" } as const;
    parsed = parseArgs({
      args: [...words],
      allowPositionals: true,
      options: { connections: text, url: text, rate: text, books: text, log: text, json: text },
    });
  } catch {
    return wrong("these are not the options");
  }
  const { values, positionals } = parsed;
  const [file] = positionals;
  if (file === undefined || positionals.length > 1) return wrong("one FILE is needed");
  if (!isReadable(file)) return wrong(`${file} cannot be read`);
  const connections = wholeOf(values.connections ?? "16", MAX_CONNECTIONS);
  if (connections === undefined) return wrong("--connections takes a whole number above zero");
  const ratePerSecond = values.rate === undefined ? undefined : wholeOf(values.rate, MAX_RATE);
  if (values.rate !== undefined && ratePerSecond === undefined) {
    return wrong("--rate takes a whole number above zero");
  }
  const urls = values.url?.split(",") ?? [];
  if (!urls.every((url) => URL.canParse(url) && /^https?:$/.test(new URL(url).protocol))) {
    return wrong("--url takes one or several URLs with commas between");
  }
  const { books, log, json } = values;
  return { ok: true, value: { file, connections, urls, ratePerSecond, books, log, json } };
}

function wholeOf(text: string, most: number): number | undefined {
  const value = Number(text);
  return /^\d+$/.test(text) && value > 0 && value <= most ? value : undefined;
}

function isReadable(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

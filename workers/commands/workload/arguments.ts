/**
 * The arguments of `npm run desk:workload`. `--price` and `--prices` are for `local/workload.ts`,
 * which starts a desk; it removes them and passes on all others.
 */
import { statSync } from "node:fs";
import type { Command as Words } from "commander";
import { WordsError } from "../command.ts";

export interface WorkloadOptions {
  readonly file: string;
  readonly connections: number;
  /** Empty: the desk in the settings. */
  readonly urls: readonly string[];
  /** Lines a second, at their own times, instead of each user waiting for each reply. */
  readonly ratePerSecond: number | undefined;
  readonly books: string | undefined;
  readonly log: string | undefined;
  readonly json: string | undefined;
}

export const USAGE = `usage: npm run desk:workload -- FILE [--connections N] [--url URL,…] [--rate N]
       [--prices FILE | --price 5.00] [--books FILE] [--log FILE] [--json FILE]
Without --url a desk is brought up on temporary data and taken down afterwards; prices can be fixed only there.`;
const MAX_CONNECTIONS = 4_096;
const MAX_RATE = 10_000_000;

export function declareOptions(words: Words): Words {
  return words
    .argument("[file]", "the workload: one desk command in each line")
    .option("--connections <number>", "how many connections the users share", "16")
    .option("--url <urls>", "the desk's servers, separated by commas; without it a desk is started")
    .option("--rate <number>", "lines a second, at their own times, without waiting for replies")
    .option("--prices <file>", "SYM,price lines: fixed prices of the desk that is started")
    .option("--price <price>", "the same price for every symbol")
    .option("--books <file>", "write the users' accounts to this file at the end, as JSON")
    .option("--log <file>", "write the desk's log to this file at the end, as XML")
    .option("--json <file>", "also write the figures to this file");
}

export function readOptions(words: Words): WorkloadOptions {
  const values = words.opts<Partial<Record<string, string>>>();
  const [file] = words.args;
  if (file === undefined) throw new WordsError("one FILE is needed");
  if (!isReadable(file)) throw new WordsError(`${file} cannot be read`);
  if (values["price"] !== undefined || values["prices"] !== undefined) {
    throw new WordsError("prices can be fixed only if a desk is started: npm run desk:workload");
  }
  const connections = parseWhole(values["connections"] ?? "", MAX_CONNECTIONS);
  if (connections === undefined) {
    throw new WordsError("--connections takes a whole number above zero");
  }
  const rate = values["rate"];
  const ratePerSecond = rate === undefined ? undefined : parseWhole(rate, MAX_RATE);
  if (rate !== undefined && ratePerSecond === undefined) {
    throw new WordsError("--rate takes a whole number above zero");
  }
  const urls = values["url"]?.split(",") ?? [];
  if (!urls.every((url) => URL.canParse(url) && /^https?:$/.test(new URL(url).protocol))) {
    throw new WordsError("--url takes one or several URLs, separated by commas");
  }
  const { books, log, json } = values;
  return { file, connections, urls, ratePerSecond, books, log, json };
}

function parseWhole(text: string, most: number): number | undefined {
  const value = Number(text);
  return /^\d+$/.test(text) && value > 0 && value <= most ? value : undefined;
}

function isReadable(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

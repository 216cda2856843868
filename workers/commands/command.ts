/** What a one-shot command is: its words, its settings, and what its end says. The runner is `main.ts`. */
import type { Command as Words } from "commander";
import type * as v from "valibot";
import type { SettingsSchema } from "../runtime/env.ts";
import type { Context } from "../runtime/role.ts";

export interface Command<Schema extends SettingsSchema, Asked> {
  /** A line for `--help`. */
  readonly description: string;
  /** Shown where the words cannot be read. */
  readonly usage: string;
  /** Exit code → what it means. */
  readonly exits: Readonly<Record<number, string>>;
  readonly settings: Schema;
  /** For the one that sets the number of partitions: its connections are compared with nothing. */
  readonly isUncompared?: true;
  /** Where `run` rejects: the words before the error's name, and the exit code. */
  readonly failure: { readonly says: string; readonly exit: number };
  /** Declares arguments and options, with a line for each. */
  declare(words: Words): Words;
  /** What was asked for; throws `WordsError` where the words make no sense. */
  read(words: Words): Asked;
  /** Answers the exit code. The runner closes the connections. */
  run(context: Context<v.InferOutput<Schema>>, asked: Asked): Promise<number>;
}

/** The words cannot be read; the message says why, and is empty where the usage says enough. */
export class WordsError extends Error {}

/** An expected end; its message is ours and may be shown. */
export class Failure extends Error {}

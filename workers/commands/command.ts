/** A one-shot command: its arguments, its settings, and its exit codes. The runner is `main.ts`. */
import type { Command as Words } from "commander";
import type * as v from "valibot";
import type { SettingsSchema } from "../runtime/env.ts";
import type { Context } from "../runtime/role.ts";

export interface Command<Schema extends SettingsSchema, Asked> {
  /** A line for `--help`. */
  readonly description: string;
  /** Shown if the arguments cannot be read. */
  readonly usage: string;
  /** Exit code → what it means. */
  readonly exits: Readonly<Record<number, string>>;
  readonly settings: Schema;
  /** For the command that sets the number of partitions: the number is not compared on connecting. */
  readonly isUncompared?: true;
  /** If `run` rejects: the text before the error's name, and the exit code. */
  readonly failure: { readonly says: string; readonly exit: number };
  /** Declares arguments and options, with a line for each. */
  declare(words: Words): Words;
  /** Reads the arguments; throws `WordsError` if they make no sense. */
  read(words: Words): Asked;
  /** Returns the exit code. The runner closes the connections. */
  run(context: Context<v.InferOutput<Schema>>, asked: Asked): Promise<number>;
}

/** The arguments cannot be read; the message says why, and is empty if the usage says enough. */
export class WordsError extends Error {}

/** An expected end; its message is ours and may be shown. */
export class Failure extends Error {}

/**
 * Options of a benchmark: `--name value`, each with its default. A wrong option ends the run with
 * one line.
 */
import { parseArgs } from "node:util";

export function readOptions<Name extends string>(
  args: string[],
  defaults: Readonly<Record<Name, string>>,
): Readonly<Record<Name, string>> {
  try {
    const { values } = parseArgs({
      args,
      options: Object.fromEntries(
        Object.keys(defaults).map((name) => [name, { type: "string" as const }]),
      ),
    });
    return { ...defaults, ...(values as Partial<Record<Name, string>>) };
  } catch {
    const names = Object.keys(defaults).map((name) => `[--${name} …]`);
    console.error(`the options are ${names.join(" ")}`);
    return process.exit(2);
  }
}

/** Whole numbers above zero, separated by commas. */
export function parseNumbers(text: string): number[] {
  const numbers = text.split(",").map(Number);
  if (numbers.every((each) => Number.isSafeInteger(each) && each > 0)) return numbers;
  console.error(`not whole numbers separated by commas: ${text}`);
  return process.exit(2);
}

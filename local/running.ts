/**
 * The settings of the running workers, for commands in another terminal, in a file that only its
 * owner can read.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

type Settings = Readonly<Record<string, string>>;

const fileIn = (data: string): string => join(data, "running.json");

export function noteRunning(data: string, settings: Settings): void {
  const path = fileIn(data);
  writeFileSync(`${path}.new`, JSON.stringify(settings), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export function forgetRunning(data: string): void {
  rmSync(fileIn(data), { force: true });
}

/** Undefined if nothing runs. */
export function readRunning(data: string): Settings | undefined {
  try {
    return JSON.parse(readFileSync(fileIn(data), "utf8")) as Settings;
  } catch {
    // No file: nothing runs.
    return undefined;
  }
}

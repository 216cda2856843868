/** The note of what a Redis has synced, built once where there is a C compiler. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { need } from "../needs.ts";

const SOURCE = join(import.meta.dir, "synced.c");
const LIBRARY = resolve(".cache/synced/synced.so");

/** Whether it is there, built now if it must be. */
export function canNoteSyncs(): boolean {
  if (existsSync(LIBRARY)) return true;
  const compiler = Bun.which("cc");
  if (compiler === null) return need("unsynced tails of a Redis", false, "no C compiler");
  mkdirSync(dirname(LIBRARY), { recursive: true });
  const built = Bun.spawnSync([compiler, "-O1", "-shared", "-fPIC", "-o", LIBRARY, SOURCE], {
    stdout: "ignore",
    stderr: "ignore",
  });
  return need("unsynced tails of a Redis", built.success, "it could not be built");
}

/** The environment that makes a redis-server note what it has synced in a file. */
export function noting(file: string): Record<string, string> {
  return { LD_PRELOAD: LIBRARY, FANFARE_SYNCED: file };
}

/** Bytes that were synced for certain; 0 where nothing was yet, also where a Redis was killed as it made its first note. */
export function notedBytes(file: string): number {
  const note = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
  return note.length === 0 ? 0 : Number(note.readBigInt64LE());
}

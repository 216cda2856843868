/** Notes how much a Redis has synced; built once if there is a C compiler. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { need } from "../needs.ts";

const SOURCE = join(import.meta.dir, "synced.c");
const LIBRARY = resolve(".cache/synced/synced.so");

/** Whether it exists; it is built now if necessary. */
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

/** The environment that makes a redis-server note in a file how much it has synced. */
export function noting(file: string): Record<string, string> {
  return { LD_PRELOAD: LIBRARY, FANFARE_SYNCED: file };
}

/**
 * Bytes that were certainly synced; 0 if there were none yet, also if a Redis was killed while it
 * wrote its first note.
 */
export function notedBytes(file: string): number {
  const note = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
  return note.length === 0 ? 0 : Number(note.readBigInt64LE());
}

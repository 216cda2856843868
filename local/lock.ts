/**
 * One supervisor for each data folder. The lock is the operating system's, taken through SQLite, so
 * it ends with its process in every case. A process id in a file could belong to another program by
 * now.
 */
import { Database } from "bun:sqlite";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export type LockResult =
  | {
      readonly ok: true;
      /** The last run did not end cleanly: its processes may still be stopping. */
      readonly afterCrash: boolean;
      release(): void;
    }
  | { readonly ok: false; readonly pid: string };

export function takeLock(data: string): LockResult {
  const note = join(data, "supervisor.pid");
  const database = new Database(join(data, "supervisor.lock"), { create: true });
  try {
    database.run("PRAGMA busy_timeout = 0");
    database.run("BEGIN EXCLUSIVE");
  } catch {
    // Another process holds the lock.
    database.close();
    return { ok: false, pid: existsSync(note) ? readFileSync(note, "utf8").trim() : "unknown" };
  }
  const afterCrash = existsSync(note);
  writeFileSync(note, `${process.pid}\n`);
  return {
    ok: true,
    afterCrash,
    release() {
      rmSync(note, { force: true });
      database.close();
    },
  };
}

/**
 * The files that DUMPLOG writes, in `dumps` of the data folder. Logs of all users are in
 * that folder, logs of one user in a subfolder of that user. The number and size of the
 * files in each folder are limited, so logs never fill the disk, and no user overwrites
 * another's file. One file is written at a time.
 */
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { DeskRefusal } from "../../../domain/desk/refusals.ts";

export interface DumpBounds {
  /** In one folder. */
  readonly files: number;
  readonly bytesOfUser: number;
  readonly bytesOfAll: number;
  /** Subfolders of users. */
  readonly folders: number;
}

const BOUNDS: DumpBounds = {
  files: 64,
  bytesOfUser: 256 * 1024 ** 2,
  bytesOfAll: 8 * 1024 ** 3,
  folders: 1_000,
};
/** An unfinished file of a killed server is removed after this. */
const UNFINISHED_MS = 3_600_000;

export interface DumpFiles {
  /**
   * Returns the reason if the log was not written. An empty user means all users. Rejects if
   * the log or the disk fails.
   */
  write(user: string, file: string, log: AsyncIterable<string>): Promise<DeskRefusal | undefined>;
}

export function dumpFiles(data: string, bounds: DumpBounds = BOUNDS): DumpFiles {
  const dumps = join(data, "dumps");
  let last: Promise<unknown> = Promise.resolve();

  async function writeNow(
    user: string,
    file: string,
    log: AsyncIterable<string>,
  ): Promise<DeskRefusal | undefined> {
    // No file and no user has this name.
    const folder = user === "" ? dumps : join(dumps, `@${user}`);
    const room = roomIn(user, folder, file);
    if (room === undefined) return "DUMP_FULL";
    mkdirSync(folder, { recursive: true });
    const unfinished = join(folder, `~${file}.${crypto.randomUUID()}`);
    try {
      const sink = Bun.file(unfinished).writer();
      let bytes = 0;
      for await (const piece of log) {
        bytes += Buffer.byteLength(piece);
        if (bytes > room) break;
        await sink.write(piece);
        await sink.flush();
      }
      await sink.end();
      if (bytes > room) return "DUMP_FULL";
      renameSync(unfinished, join(folder, file));
      return undefined;
    } finally {
      rmSync(unfinished, { force: true });
    }
  }

  /**
   * How many bytes the file may have, beside the existing files. Undefined if there are too
   * many files.
   */
  function roomIn(user: string, folder: string, file: string): number | undefined {
    const others = listFiles(folder).filter(({ name }) => name !== file);
    if (others.length >= bounds.files) return undefined;
    const known = others.length > 0 || statSync(folder, { throwIfNoEntry: false }) !== undefined;
    if (user !== "" && !known && countFolders(dumps) >= bounds.folders) return undefined;
    const most = user === "" ? bounds.bytesOfAll : bounds.bytesOfUser;
    return most - others.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  return {
    async write(user, file, log) {
      const written = last.then(() => writeNow(user, file, log));
      // The caller gets the error; the next write only waits for the end.
      last = written.catch(() => {});
      return await written;
    },
  };
}

function listFiles(folder: string): { readonly name: string; readonly bytes: number }[] {
  const files: { readonly name: string; readonly bytes: number }[] = [];
  for (const name of listEntries(folder)) {
    const path = join(folder, name);
    const found = statSync(path, { throwIfNoEntry: false });
    if (!found?.isFile()) continue;
    if (name.startsWith("~") && Date.now() - found.mtimeMs > UNFINISHED_MS) rmSync(path);
    else files.push({ name, bytes: found.size });
  }
  return files;
}

function countFolders(dumps: string): number {
  return listEntries(dumps).filter((name) => name.startsWith("@")).length;
}

function listEntries(folder: string): string[] {
  return statSync(folder, { throwIfNoEntry: false }) ? readdirSync(folder) : [];
}

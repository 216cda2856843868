/** What DUMPLOG may write, on a real disk. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { dumpFiles } from "./dump-files.ts";

const BOUNDS = { files: 3, bytesOfUser: 100, bytesOfAll: 1_000, folders: 2 };

let data: string;
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), "fanfare-dumps-"));
});
afterEach(() => rmSync(data, { recursive: true, force: true }));

async function* log(...pieces: readonly string[]): AsyncGenerator<string> {
  yield* pieces;
}
const open = () => dumpFiles(data, BOUNDS);
const read = (path: string): string => readFileSync(join(data, "dumps", path), "utf8");

test("a user's files are in the user's own folder, so no user overwrites another's", async () => {
  const files = open();
  for (const user of ["", "alice", "bob"]) {
    expect(await files.write(user, "log.xml", log(`of ${user}`))).toBeUndefined();
  }
  expect([read("log.xml"), read("@alice/log.xml"), read("@bob/log.xml")]).toEqual([
    "of ",
    "of alice",
    "of bob",
  ]);
});

test("a folder has a limited number of files, and an existing one may be written again", async () => {
  const files = open();
  for (const user of ["", "alice"]) {
    for (const name of ["a", "b", "c"]) await files.write(user, name, log("1"));
    expect(await files.write(user, "d", log("1"))).toBe("DUMP_FULL");
    expect(await files.write(user, "c", log("2"))).toBeUndefined();
  }
  expect([read("c"), read("@alice/c")]).toEqual(["2", "2"]);
  expect(readdirSync(join(data, "dumps/@alice")).toSorted()).toEqual(["a", "b", "c"]);
});

test("a folder has a limited number of bytes, and a file that does not fit leaves nothing behind", async () => {
  const files = open();
  await files.write("alice", "a", log("x".repeat(60)));
  expect(await files.write("alice", "b", log("x".repeat(40), "y"))).toBe("DUMP_FULL");
  expect(await files.write("alice", "a", log("z".repeat(101)))).toBe("DUMP_FULL");
  expect(readdirSync(join(data, "dumps/@alice"))).toEqual(["a"]);
  expect(read("@alice/a")).toBe("x".repeat(60));
  expect(await files.write("alice", "b", log("x".repeat(40)))).toBeUndefined();
});

test("the number of folders is limited, and existing folders still get files", async () => {
  const files = open();
  expect(await files.write("alice", "a", log("1"))).toBeUndefined();
  expect(await files.write("bob", "a", log("1"))).toBeUndefined();
  expect(await files.write("carol", "a", log("1"))).toBe("DUMP_FULL");
  expect(await files.write("bob", "b", log("1"))).toBeUndefined();
  expect(existsSync(join(data, "dumps/@carol"))).toBe(false);
});

test("the limits apply to any number of simultaneous requests", async () => {
  const files = open();
  const text = "x".repeat(40);
  const asked = Array.from({ length: 9 }, (_, n) => files.write("alice", `f${n}`, log(text)));
  expect((await Promise.all(asked)).filter((why) => why === undefined)).toHaveLength(2);
  expect(readdirSync(join(data, "dumps/@alice"))).toHaveLength(2);
});

test("an unfinished file of a killed server counts, and is removed after an hour", async () => {
  const folder = join(data, "dumps/@alice");
  mkdirSync(folder, { recursive: true });
  for (const name of ["~a.1", "~a.2", "~a.3"]) writeFileSync(join(folder, name), "half");
  expect(await open().write("alice", "a", log("1"))).toBe("DUMP_FULL");
  const past = Date.now() / 1_000 - 3_700;
  for (const name of ["~a.1", "~a.2"]) utimesSync(join(folder, name), past, past);
  expect(await open().write("alice", "a", log("1"))).toBeUndefined();
  expect(readdirSync(folder).toSorted()).toEqual(["a", "~a.3"]);
});

test("an incomplete log leaves no file, and the next log is written", async () => {
  const files = open();
  const broken = (async function* () {
    yield "half";
    throw new Error("the store is away");
  })();
  expect(files.write("alice", "a", broken)).rejects.toThrow("the store is away");
  expect(await files.write("alice", "b", log("1"))).toBeUndefined();
  expect(readdirSync(join(data, "dumps/@alice"))).toEqual(["b"]);
});

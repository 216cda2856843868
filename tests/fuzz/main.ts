/**
 * `bun tests/fuzz/main.ts [seconds]`: starts a whole system by `npm start` with its own data
 * folder, runs schemathesis on its OpenAPI document with valid tokens (the desk's part with the day
 * trader's), and stops it as Ctrl-C does. It fails if an answer was a 5xx or not in the document,
 * or if a process was left running.
 *
 * Needs Linux (it looks for processes in /proc) and schemathesis in
 * `.cache/schemathesis`, where `.ci/run` puts it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "../support/ports.ts";

const SCHEMATHESIS = resolve(".cache/schemathesis/bin/st");
const UP_WITHIN_MS = 180_000;
const DOWN_WITHIN_MS = 30_000;
/**
 * Fewer processes than a whole system has: if none were seen, the last check would be worthless.
 */
const FEWEST_PROCESSES = 10;
const CHECKS = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_schema_conformance",
];

const seconds = process.argv[2] ?? "45";
const folder = mkdtempSync(join(tmpdir(), "fanfare-fuzz-"));
const port = String(await freePort());

/**
 * Every process of this run: it has this folder for temporary files, or, like Redis, runs inside
 * it.
 */
function ours(): string[] {
  return readdirSync("/proc").filter((entry) => {
    if (!/^\d+$/.test(entry) || entry === String(process.pid)) return false;
    try {
      return (
        readFileSync(`/proc/${entry}/environ`, "utf8").split("\0").includes(`TMPDIR=${folder}`) ||
        readlinkSync(`/proc/${entry}/cwd`).startsWith(folder)
      );
    } catch {
      return false; // It ended between the two calls.
    }
  });
}

function fail(what: string): never {
  for (const pid of ours()) process.kill(Number(pid), "SIGKILL");
  console.error(`fuzz: ${what}`);
  process.exit(1);
}

// Its own process group, so that the interrupt reaches the same processes as a terminal's Ctrl-C.
const system = spawn("npm", ["start"], {
  detached: true,
  env: { ...process.env, PORT: port, FANFARE_DATA: join(folder, "data"), TMPDIR: folder },
  stdio: ["ignore", "pipe", "inherit"],
});
let stopping = false;
const ended = once(system, "exit").then(() => {
  if (!stopping) fail("npm start ended by itself");
});
const upTimer = setTimeout(() => fail("npm start printed no curl line in time"), UP_WITHIN_MS);
const tokens: string[] = [];
const [providers = "", traders = ""] = await new Promise<readonly string[]>((resolve) => {
  createInterface({ input: system.stdout }).on("line", (line) => {
    const bearer = /^curl .*authorization: Bearer ([^'"\s]+)/i.exec(line)?.[1];
    if (bearer !== undefined && tokens.push(bearer) === 2) resolve(tokens);
  });
});
clearTimeout(upTimer);
if (ours().length < FEWEST_PROCESSES) fail("the processes of npm start cannot be seen");

/** Returns its exit code. */
async function schemathesis(token: string, which: readonly string[]): Promise<number | null> {
  const run = spawn(
    SCHEMATHESIS,
    [
      "run",
      `http://127.0.0.1:${port}/openapi.json`,
      ...which,
      "--header",
      `Authorization: Bearer ${token}`,
      "--checks",
      CHECKS.join(","),
      "--max-time",
      seconds,
      "--request-timeout",
      "10",
      "--suppress-health-check",
      "all",
      "--warnings",
      "off",
      "--no-shrink",
    ],
    // It writes notes in its working directory.
    { cwd: ".cache", stdio: "inherit" },
  );
  const [verdict] = (await once(run, "exit")) as [number | null];
  return verdict;
}
const verdicts = [
  await schemathesis(providers, ["--exclude-path-regex", "^/v1/desk/"]),
  await schemathesis(traders, ["--include-path-regex", "^/v1/desk/"]),
];

stopping = true;
process.kill(-(system.pid ?? 0), "SIGINT");
const downTimer = setTimeout(() => fail("Ctrl-C did not end npm start in time"), DOWN_WITHIN_MS);
await ended;
clearTimeout(downTimer);
const left = ours();
if (left.length > 0) fail(`${left.length} processes were left behind by Ctrl-C`);
rmSync(folder, { recursive: true, force: true });
if (verdicts.some((each) => each !== 0))
  fail("schemathesis found answers that the document does not allow");
console.log("fuzz: no 5xx, no answer outside the document, nothing left running");

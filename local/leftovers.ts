/**
 * Cleans up after a killed supervisor. Its processes notice and stop by themselves. Redis does not,
 * and two Redis servers must never share a folder. So the next start waits for the processes and
 * then stops Redis cleanly.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Status } from "./process.ts";

/** A little more time than the processes take to stop. */
const STOPPING_LIMIT_MS = 12_000;
const LOOK_EVERY_MS = 50;

/** Notes the running processes, for the start after a crash. */
export function noteProcesses(data: string, statuses: readonly Status[]): void {
  const path = join(data, "processes.json");
  const pids = Object.fromEntries(
    statuses.flatMap(({ name, pid }) => (pid === undefined ? [] : [[name, pid]])),
  );
  writeFileSync(`${path}.new`, JSON.stringify(pids));
  renameSync(`${path}.new`, path);
}

export async function stopLeftovers(data: string, say: (line: string) => void): Promise<void> {
  const { redis, ...others } = readNotes(data);
  const workers = Object.values(others).filter(isOurs);
  if (workers.length > 0) {
    say("The last run was killed: waiting for its processes to stop …");
    await stopped(workers);
  }
  if (redis !== undefined && isOurs(redis)) {
    say(`The last run was killed: stopping its Redis (process ${redis}) …`);
    process.kill(redis, "SIGTERM");
    await stopped([redis]);
  }
}

function readNotes(data: string): Record<string, number> {
  try {
    return JSON.parse(readFileSync(join(data, "processes.json"), "utf8")) as Record<string, number>;
  } catch {
    // No note, or one that a full disk truncated: no processes are known.
    return {};
  }
}

/** Waits until none of them runs; processes that hang are killed. */
async function stopped(pids: readonly number[]): Promise<void> {
  const deadline = performance.now() + STOPPING_LIMIT_MS;
  for (;;) {
    const running = pids.filter(isOurs);
    if (running.length === 0) return;
    if (performance.now() > deadline) for (const pid of running) process.kill(pid, "SIGKILL");
    await Bun.sleep(LOOK_EVERY_MS);
  }
}

/** Whether the process runs and is ours: its id may belong to another program by now. */
function isOurs(pid: number): boolean {
  return /redis-server|local\/orphan\.ts/.test(readCommandLine(pid));
}

function readCommandLine(pid: number): string {
  if (existsSync("/proc/self/cmdline")) {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
    } catch {
      // It has ended.
      return "";
    }
  }
  return Bun.spawnSync(["ps", "-o", "command=", "-p", String(pid)]).stdout.toString();
}

import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../tests/support/wait.ts";
import type { Service, Status, Timing } from "./process.ts";
import { Supervisor } from "./supervisor.ts";

let folder: string;
let supervisor: Supervisor;
let seen: Status[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fanfare-supervisor-"));
});

afterEach(async () => {
  await supervisor.stop();
  rmSync(folder, { recursive: true, force: true });
});

function supervise(timing: Partial<Timing> = {}): void {
  seen = [];
  supervisor = new Supervisor({
    logs: folder,
    timing: { firstPauseMs: 20, longestPauseMs: 80, ...timing },
    changed(statuses) {
      for (const each of statuses) if (!seen.includes(each)) seen.push(each);
    },
  });
}

/** A process that runs this script. */
function script(name: string, text: string): Service {
  const path = join(folder, `${name}.ts`);
  writeFileSync(path, text);
  return { name, command: [process.execPath, path], env: { FOLDER: folder } };
}

const SERVES = `console.log("ready"); setInterval(() => {}, 1000);`;

function latest(name: string): Status | undefined {
  return seen.findLast((each) => each.name === name);
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test("a start waits until each process serves", async () => {
  supervise();
  expect(await supervisor.start([script("one", SERVES), script("other", SERVES)])).toEqual({
    ok: true,
  });
  expect([latest("one")?.state, latest("other")?.state]).toEqual(["ready", "ready"]);
});

test("a process that dies is started again, after pauses that grow", async () => {
  supervise({ firstPauseMs: 40, longestPauseMs: 160 });
  await supervisor.start([
    script("mortal", `console.log("ready"); setTimeout(() => process.exit(1), 1);`),
  ]);
  await until("it died five times", () => (latest("mortal")?.restarts ?? 0) >= 5);
  const pausesMs = seen.flatMap((each, index) =>
    each.state === "waiting" ? [(seen[index + 1]?.sinceMs ?? Infinity) - each.sinceMs] : [],
  );
  for (const [index, leastMs] of [40, 80, 160, 160].entries()) {
    expect(pausesMs[index]).toBeGreaterThanOrEqual(leastMs - 2);
  }
});

test("a process that ran well for long enough is started again after the first pause", async () => {
  supervise({ firstPauseMs: 20, longestPauseMs: 10_000, wellAfterMs: 1 });
  await supervisor.start([
    script("mortal", `console.log("ready"); setTimeout(() => process.exit(1), 5);`),
  ]);
  // Doubled each time, the tenth pause alone would be longer than this test may take.
  await until("it died ten times", () => (latest("mortal")?.restarts ?? 0) >= 10);
});

test("a process that is killed by kill -9 comes back with another process id", async () => {
  supervise();
  await supervisor.start([script("one", SERVES)]);
  const pid = latest("one")?.pid ?? 0;
  process.kill(pid, "SIGKILL");
  await until(
    "it serves again",
    () => latest("one")?.state === "ready" && latest("one")?.restarts === 1,
  );
  expect(latest("one")?.pid).not.toBe(pid);
});

test("a process that does not start in time is reported with the end of its log, and killed", async () => {
  supervise({ readyWithinMs: 400 });
  const silent = script(
    "silent",
    `console.error("waiting for what never comes"); setInterval(() => {}, 1000);`,
  );
  const result = await supervisor.start([script("one", SERVES), silent]);
  expect(result).toEqual({
    ok: false,
    why: expect.stringContaining("silent did not come up within 0.4 s"),
  });
  expect(result).toEqual({
    ok: false,
    why: expect.stringContaining("waiting for what never comes"),
  });
  await until("it was killed", () => (latest("silent")?.restarts ?? 0) >= 1);
});

test("a refused configuration is reported at once and not tried again", async () => {
  supervise();
  const result = await supervisor.start([
    script("wrong", `console.error("X is not a setting"); process.exit(2);`),
  ]);
  expect(result).toEqual({
    ok: false,
    why: expect.stringMatching(/exit code 2[^]*X is not a setting/),
  });
  expect(latest("wrong")).toMatchObject({ state: "failed", restarts: 0 });
});

test("a one-shot is done when it succeeds, and is not retried when it fails", async () => {
  supervise();
  expect(await supervisor.runOnce(script("good", `console.log("ready")`))).toEqual({ ok: true });
  expect(latest("good")?.state).toBe("done");
  expect((await supervisor.runOnce(script("bad", `process.exit(1)`))).ok).toBe(false);
  expect(latest("bad")).toMatchObject({ state: "failed", restarts: 0 });
});

test("a stop goes from the last stage to the first and leaves nothing behind", async () => {
  supervise();
  const polite = (name: string) =>
    script(
      name,
      `import { appendFileSync } from "node:fs";
       process.on("SIGTERM", () => { appendFileSync(process.env.FOLDER + "/order", "${name} "); process.exit(0); });
       ${SERVES}`,
    );
  for (const name of ["first", "second", "third"]) await supervisor.start([polite(name)]);
  const pids = seen.flatMap(({ pid }) => pid ?? []);
  await supervisor.stop();
  expect(readFileSync(join(folder, "order"), "utf8")).toBe("third second first ");
  expect(pids.filter(runs)).toEqual([]);
});

test("a process that ignores SIGTERM is killed after its grace period, or at once by a second stop", async () => {
  const deaf = `process.on("SIGTERM", () => {}); ${SERVES}`;
  supervise({ graceMs: 100 });
  await supervisor.start([script("deaf", deaf)]);
  const pid = latest("deaf")?.pid ?? 0;
  await supervisor.stop();
  expect(runs(pid)).toBe(false);

  supervise({ graceMs: 60_000 });
  await supervisor.start([script("deaf", deaf)]);
  const other = latest("deaf")?.pid ?? 0;
  const stopped = supervisor.stop();
  void supervisor.stop();
  await stopped;
  expect(runs(other)).toBe(false);
});

test("a stop while a process waits for its next try does not start it again", async () => {
  supervise({ firstPauseMs: 60_000, longestPauseMs: 60_000 });
  const started = supervisor.start([script("mortal", `process.exit(1)`)]);
  await until("it waits", () => latest("mortal")?.state === "waiting");
  await supervisor.stop();
  expect(await started).toEqual({ ok: false, why: "stopping" });
  expect(latest("mortal")?.state).toBe("stopped");
});

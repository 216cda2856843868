/** `npm start` as a user runs it: from the command line to the last process gone. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../support/ports.ts";
import { need } from "../support/needs.ts";
import { until } from "../support/wait.ts";

const ROOT = join(import.meta.dir, "../..");
const START_TIMEOUT_MS = 60_000;
const TEST_TIMEOUT_MS = 120_000;

const tools = ["npm", "curl", "ps"].filter((tool) => Bun.which(tool) === null);
const able = need("npm start", tools.length === 0, `no ${tools.join(", ")}`);

interface Run {
  readonly printed: () => string;
  /** Like Ctrl-C: to every process of the terminal's group at once. */
  interrupt(signal: NodeJS.Signals): void;
  readonly exited: Promise<number>;
}

let data: string;
let port: number;
const started: Run[] = [];

beforeEach(async () => {
  data = mkdtempSync(join(tmpdir(), "fanfare-start-"));
  port = await freePort();
});

afterEach(async () => {
  for (const run of started.splice(0)) {
    try {
      run.interrupt("SIGTERM");
    } catch {
      // It has ended already.
    }
    await run.exited;
  }
  await until("nothing runs any more", () => processes().filter(runs).length === 0);
  rmSync(data, { recursive: true, force: true });
});

function npmStart(): Run {
  const child = Bun.spawn(["npm", "start"], {
    cwd: ROOT,
    env: { ...process.env, NODE_ENV: undefined, PORT: String(port), FANFARE_DATA: data },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    detached: true,
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    void (async () => {
      for await (const part of stream.pipeThrough(new TextDecoderStream())) text += part;
    })();
  }
  const run: Run = {
    printed: () => text,
    interrupt: (signal) => process.kill(-child.pid, signal),
    exited: child.exited,
  };
  started.push(run);
  return run;
}

/** Starts it, and returns the command to try. */
async function up(): Promise<{ run: Run; curl: string }> {
  const run = npmStart();
  let over = false;
  void run.exited.then(() => (over = true));
  const curl = await until(
    "the line to try is printed",
    () => {
      if (over) throw new Error(`it ended before it was up:\n${run.printed()}`);
      return /^curl .*$/m.exec(run.printed())?.[0];
    },
    START_TIMEOUT_MS,
  );
  return { run, curl };
}

interface Accepted {
  readonly id: string;
  readonly sequence: number;
  readonly followers: number;
}

/** Runs the command unchanged, in the shell. */
async function send(curl: string): Promise<Accepted> {
  const child = Bun.spawn(["sh", "-c", curl], { stdout: "pipe", stderr: "ignore" });
  return (await new Response(child.stdout).json()) as Accepted;
}

interface Progress {
  readonly counts: Readonly<Record<string, number>>;
}

async function readProgress(curl: string, id: string): Promise<Progress> {
  const authorization = /authorization: (Bearer [^']+)/.exec(curl)?.[1] ?? "";
  const response = await fetch(`http://127.0.0.1:${port}/v1/signals/${id}`, {
    headers: { authorization },
  });
  expect(response.status).toBe(200);
  return (await response.json()) as Progress;
}

/** From another terminal, with no setting except the data folder. */
async function reconcile(signal: string): Promise<string> {
  const child = Bun.spawn(["npm", "run", "reconcile", "--", "--signal", signal], {
    cwd: ROOT,
    env: { ...process.env, FANFARE_DATA: data },
    stdout: "pipe",
    stderr: "inherit",
  });
  const printed = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  return printed;
}

const ALL_PLACED = { followers: 1000, placed: 1000, rejected: 0, skipped: 0, unknown: 0 };

async function expectAllPlaced(curl: string, id: string): Promise<void> {
  await until("every order is placed", async () => {
    const { counts } = await readProgress(curl, id);
    return counts["placed"] === 1000;
  });
  expect((await readProgress(curl, id)).counts).toEqual(ALL_PLACED);
}

function notes(): Readonly<Record<string, number>> {
  try {
    return JSON.parse(readFileSync(join(data, "processes.json"), "utf8")) as Record<string, number>;
  } catch {
    return {};
  }
}

function processes(): readonly number[] {
  return Object.values(notes());
}

/** A process that has ended and was not waited for yet (a zombie) does not run. */
function runs(pid: number): boolean {
  const state = Bun.spawnSync(["ps", "-o", "stat=", "-p", String(pid)]).stdout.toString();
  return state !== "" && !state.startsWith("Z");
}

describe.skipIf(!able)("npm start", () => {
  test(
    "the printed line reaches a thousand followers; Ctrl-C leaves no process; a second start keeps all",
    async () => {
      const first = await up();
      const signal = await send(first.curl);
      expect(signal).toMatchObject({ sequence: 1, followers: 1000 });
      await expectAllPlaced(first.curl, signal.id);
      expect(await reconcile(signal.id)).toContain("1000 followers compared: no difference");

      const others = processes();
      expect(others.length).toBeGreaterThanOrEqual(11);
      first.run.interrupt("SIGINT");
      // 130 is npm's exit code for an interrupt.
      expect([0, 130]).toContain(await first.run.exited);
      expect(others.filter(runs)).toEqual([]);

      const second = await up();
      expect((await readProgress(second.curl, signal.id)).counts).toEqual(ALL_PLACED);
      expect(await send(second.curl)).toMatchObject({ sequence: 2, followers: 1000 });
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "kill -9 of any one process is repaired, and signals continue",
    async () => {
      const { run, curl } = await up();
      for (const name of ["bridge", "redis", "desk", "broker", "edge"]) {
        const pid = notes()[name];
        if (pid === undefined) throw new Error(`${name} is not noted`);
        process.kill(pid, "SIGKILL");
        const again = new RegExp(`^ *${name} +ready .* restarts [1-9]`, "m");
        await until(`${name} is back`, () => again.test(run.printed()));
      }
      const signal = await until(
        "a signal is accepted",
        async () => {
          const answer = await send(curl).catch(() => undefined);
          return answer?.followers === 1000 && answer;
        },
        20_000,
      );
      await expectAllPlaced(curl, signal.id);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "kill -9 of the supervisor stops all but Redis, which the next start replaces with the same data",
    async () => {
      const first = await up();
      const signal = await send(first.curl);
      await expectAllPlaced(first.curl, signal.id);
      const { redis = 0, ...others } = notes();
      first.run.interrupt("SIGKILL");
      await first.run.exited;
      await until("the others stopped", () => Object.values(others).filter(runs).length === 0);
      expect(runs(redis)).toBe(true);

      const second = await up();
      expect(runs(redis)).toBe(false);
      expect(second.run.printed()).toContain("The last run was killed: stopping its Redis");
      expect((await readProgress(second.curl, signal.id)).counts).toEqual(ALL_PLACED);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a second start on live data, and one on a taken port, say so and end with 1",
    async () => {
      const first = await up();
      const same = npmStart();
      expect(await same.exited).not.toBe(0);
      expect(same.printed()).toContain(`Fanfare already runs on ${data}`);

      const kept = data;
      data = mkdtempSync(join(tmpdir(), "fanfare-start-"));
      const taken = npmStart();
      expect(await taken.exited).not.toBe(0);
      expect(taken.printed()).toContain(`Port ${port} is taken`);
      rmSync(data, { recursive: true, force: true });
      data = kept;
      expect(await send(first.curl)).toMatchObject({ followers: 1000 });
    },
    TEST_TIMEOUT_MS,
  );
});

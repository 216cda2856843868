/** One supervised process, from its start to its stop, and its status. */
import { closeSync, copyFileSync, openSync, readFileSync, statSync, truncateSync } from "node:fs";
import { appendFileSync, existsSync, renameSync } from "node:fs";
import type { Subprocess } from "bun";

export interface Service {
  readonly name: string;
  readonly command: readonly string[];
  /** Its whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Called repeatedly until it is true; without it, the line `ready` on standard output counts. */
  readonly serves?: () => Promise<boolean>;
  /** A one-shot process: it has succeeded when it ends. */
  readonly once?: boolean;
}

export interface Timing {
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
  readonly wellAfterMs: number;
  readonly readyWithinMs: number;
  readonly graceMs: number;
}

export type State = "starting" | "ready" | "waiting" | "stopping" | "stopped" | "failed" | "done";

export interface Status {
  readonly name: string;
  readonly state: State;
  readonly pid: number | undefined;
  readonly restarts: number;
  /** When it entered this state, in epoch milliseconds. */
  readonly sinceMs: number;
}

export type StartResult = { readonly ok: true } | { readonly ok: false; readonly why: string };

type Child = Subprocess<"pipe", "pipe", number>;

/** A refused configuration will be refused again. */
const EXIT_CONFIGURATION = 2;
const PROBE_EVERY_MS = 25;
const LOG_LIMIT_BYTES = 16 * 1024 * 1024;
const LOG_TAIL_LINES = 12;

export class Process {
  readonly #service: Service;
  readonly #timing: Timing;
  readonly #log: string;
  readonly #changed: () => void;
  readonly #stop = new AbortController();
  #status: Status;
  #child: Child | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(service: Service, timing: Timing, log: string, changed: () => void) {
    this.#service = service;
    this.#timing = timing;
    this.#log = log;
    this.#changed = changed;
    this.#status = {
      name: service.name,
      state: "starting",
      pid: undefined,
      restarts: 0,
      sinceMs: Date.now(),
    };
    if (existsSync(log)) renameSync(log, `${log}.1`);
  }

  get status(): Status {
    return this.#status;
  }

  /** Resolves when it serves for the first time, or when it is clear that it will not. */
  start(): Promise<StartResult> {
    return new Promise((resolve) => {
      const limit = this.#timing.readyWithinMs;
      const timer = setTimeout(() => {
        resolve(this.#failure(`did not come up within ${Math.round(limit / 100) / 10} s`));
      }, limit);
      const settle = (result: StartResult) => {
        clearTimeout(timer);
        resolve(result);
      };
      this.#ended = this.#live(settle);
    });
  }

  async stop(graceMs: number): Promise<void> {
    this.#stop.abort();
    if (this.#child) {
      this.#set({ state: "stopping" });
      this.#child.kill("SIGTERM");
      const timer = setTimeout(() => {
        this.kill();
      }, graceMs);
      await this.#ended;
      clearTimeout(timer);
    }
    await this.#ended;
  }

  kill(): void {
    this.#child?.kill("SIGKILL");
  }

  /** The process keeps appending to its open file, so its content is copied and then truncated. */
  boundLog(): void {
    if (!existsSync(this.#log) || statSync(this.#log).size < LOG_LIMIT_BYTES) return;
    copyFileSync(this.#log, `${this.#log}.1`);
    truncateSync(this.#log);
  }

  async #live(settle: (result: StartResult) => void): Promise<void> {
    let pauseMs = this.#timing.firstPauseMs;
    for (;;) {
      const startedMs = performance.now();
      const child = this.#spawn();
      void this.#awaitReady(child, settle);
      const code = await child.exited;
      this.#child = undefined;
      if (this.#stop.signal.aborted) {
        this.#set({ state: "stopped", pid: undefined });
        settle({ ok: false, why: "stopping" });
        return;
      }
      if (this.#service.once && code === 0) {
        this.#set({ state: "done", pid: undefined });
        settle({ ok: true });
        return;
      }
      if (this.#service.once || code === EXIT_CONFIGURATION) {
        this.#set({ state: "failed", pid: undefined });
        settle(this.#failure(`ended with exit code ${code}`));
        return;
      }
      if (performance.now() - startedMs >= this.#timing.wellAfterMs) {
        pauseMs = this.#timing.firstPauseMs;
      }
      this.#set({ state: "waiting", pid: undefined, restarts: this.#status.restarts + 1 });
      await pause(pauseMs, this.#stop.signal);
      if (this.#stop.signal.aborted) {
        this.#set({ state: "stopped" });
        settle({ ok: false, why: "stopping" });
        return;
      }
      pauseMs = Math.min(pauseMs * 2, this.#timing.longestPauseMs);
    }
  }

  #spawn(): Child {
    const log = openSync(this.#log, "a", 0o600);
    try {
      this.#child = Bun.spawn([...this.#service.command], {
        env: this.#service.env,
        // The supervisor's end of this pipe closes when it dies, for any reason.
        stdin: "pipe",
        stdout: "pipe",
        stderr: log,
        // Outside the terminal's process group: the supervisor passes Ctrl-C on, in order.
        detached: true,
      });
    } finally {
      closeSync(log);
    }
    this.#set({ state: "starting", pid: this.#child.pid });
    return this.#child;
  }

  /** A process that never serves is killed, which counts like any other death. */
  async #awaitReady(child: Child, settle: (result: StartResult) => void): Promise<void> {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
    }, this.#timing.readyWithinMs);
    void child.exited.then(() => {
      clearTimeout(timer);
    });
    const ready = () => {
      if (this.#child !== child || this.#service.once || this.#stop.signal.aborted) return;
      clearTimeout(timer);
      this.#set({ state: "ready" });
      settle({ ok: true });
    };
    const { serves } = this.#service;
    if (serves) void this.#probe(child, serves).then((served) => served && ready());

    let rest = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line === "ready" && !serves) ready();
        else appendFileSync(this.#log, `${line}\n`);
      }
    }
  }

  async #probe(child: Child, serves: () => Promise<boolean>): Promise<boolean> {
    while (this.#child === child) {
      if (await serves()) return true;
      await pause(PROBE_EVERY_MS, this.#stop.signal);
    }
    return false;
  }

  #failure(what: string): StartResult {
    const tail = existsSync(this.#log)
      ? readFileSync(this.#log, "utf8").trimEnd().split("\n").slice(-LOG_TAIL_LINES)
      : [];
    return {
      ok: false,
      why: [`${this.#service.name} ${what}. The end of ${this.#log}:`, ...tail].join("\n  "),
    };
  }

  #set(change: Partial<Status>): void {
    this.#status = { ...this.#status, ...change, sinceMs: Date.now() };
    this.#changed();
  }
}

async function pause(ms: number, cut: AbortSignal): Promise<void> {
  if (cut.aborted) return;
  await new Promise<void>((resolve) => {
    const end = () => {
      clearTimeout(timer);
      cut.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    cut.addEventListener("abort", end);
  });
}

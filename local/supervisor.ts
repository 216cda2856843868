/**
 * Keeps processes running: starts each, knows when it serves, starts it again with growing pauses
 * when it dies, and stops all in the reverse order, so that nothing is left running. Each process
 * logs to its own file of limited size.
 */
import { join } from "node:path";
import { Process, type Service, type StartResult, type Status, type Timing } from "./process.ts";

export const TIMING: Timing = {
  firstPauseMs: 100,
  longestPauseMs: 5_000,
  /** After running this long, a process counts as healthy again. */
  wellAfterMs: 10_000,
  readyWithinMs: 30_000,
  graceMs: 10_000,
};

/** How often the sizes of the logs are checked. */
const LOG_CHECK_MS = 30_000;

export interface SupervisorOptions {
  /** The folder of the logs; it exists. */
  readonly logs: string;
  /** Called whenever any status changed. */
  readonly changed: (statuses: readonly Status[]) => void;
  readonly timing?: Partial<Timing>;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #timing: Timing;
  /** Stages in the order of their start. */
  readonly #stages: Process[][] = [];
  readonly #logCheck: ReturnType<typeof setInterval>;
  #stopping = false;
  #hurried = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    this.#logCheck = setInterval(() => {
      for (const each of this.#stages.flat()) each.boundLog();
    }, LOG_CHECK_MS);
  }

  /** Starts these in parallel; resolves when all serve, or with the first that does not start. */
  async start(services: readonly Service[]): Promise<StartResult> {
    if (this.#stopping) return { ok: false, why: "stopping" };
    const stage = services.map(
      (service) =>
        new Process(service, this.#timing, join(this.#options.logs, `${service.name}.log`), () => {
          this.#options.changed(this.#stages.flat().map((each) => each.status));
        }),
    );
    this.#stages.push(stage);
    return await new Promise((resolve) => {
      const ready = stage.map(async (each) => {
        const result = await each.start();
        if (!result.ok) resolve(result);
      });
      void Promise.all(ready).then(() => {
        resolve({ ok: true });
      });
    });
  }

  /** Runs a process to its end, which must be a success; it is not started again. */
  async runOnce(service: Service): Promise<StartResult> {
    return await this.start([{ ...service, once: true }]);
  }

  /** Stops the newest stage first. A second call kills the remaining processes. */
  async stop(): Promise<void> {
    if (this.#stopping) {
      this.#hurried = true;
      for (const each of this.#stages.flat()) each.kill();
      return;
    }
    this.#stopping = true;
    clearInterval(this.#logCheck);
    for (const stage of this.#stages.toReversed()) {
      await Promise.all(stage.map((each) => each.stop(this.#hurried ? 0 : this.#timing.graceMs)));
    }
  }
}

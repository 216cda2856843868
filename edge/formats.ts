/**
 * Whether each Redis has the number of partitions and the format that this edge uses. It is asked
 * before the first acceptance, and the answer is cached. Home decides whether signals are accepted.
 * A region that does not answer must not prevent that, so it is asked again before jobs are sent to
 * it.
 */
import { failure, success, type Result } from "../domain/result.ts";
import { compareFormat, type RunAll } from "../redis/format.ts";
import { log } from "./log.ts";
import type { Store } from "./store.ts";

type State = "same" | "differs" | "silent";

export class Formats {
  readonly #home: Store;
  readonly #regions: ReadonlyMap<string, Store>;
  readonly #partitions: number;
  /**
   * Results, not promises: on Cloudflare a request cannot wait for work that another request began.
   */
  readonly #same = new Set<Store>();
  #isOpen = false;
  readonly #logged = new Set<Store>();

  constructor(home: Store, regions: ReadonlyMap<string, Store>, partitions: number) {
    this.#home = home;
    this.#regions = regions;
    this.#partitions = partitions;
  }

  /** Call it before anything is read from or accepted into a partition. */
  async check(): Promise<Result<undefined>> {
    if (this.#isOpen) return success(undefined);
    const regions = [...this.#regions].map(([name, store]) => this.#ask(`region ${name}`, store));
    const [home, ...others] = await Promise.all([this.#ask("home", this.#home), ...regions]);
    if (home === "silent") return failure("STORE_UNAVAILABLE");
    this.#isOpen = home === "same" && !others.includes("differs");
    return this.#isOpen ? success(undefined) : failure("STORE_MISMATCHED");
  }

  /** Whether jobs may be sent to a region. */
  async isSame(region: string): Promise<boolean> {
    const store = this.#regions.get(region);
    return store !== undefined && (await this.#ask(`region ${region}`, store)) === "same";
  }

  async #ask(name: string, store: Store): Promise<State> {
    if (this.#same.has(store)) return "same";
    const state = await this.#compare(name, store);
    if (state === "same") this.#same.add(store);
    if (state === "differs") this.#isOpen = false;
    return state;
  }

  async #compare(name: string, store: Store): Promise<State> {
    const runAll: RunAll = async (script, each) => {
      const replies = await store.runAll(script, each);
      if (!replies.ok) throw new Silent();
      return replies.value;
    };
    try {
      const reply = await compareFormat(runAll, this.#partitions);
      if (reply.kind === "same") return "same";
      // Logged once; every refused caller gets the error.
      if (!this.#logged.has(store)) {
        log.error("a Redis is not what this edge is set for", { redis: name, why: reply.why });
      }
      this.#logged.add(store);
      return "differs";
    } catch (error) {
      if (error instanceof Silent) return "silent";
      throw error;
    }
  }
}

class Silent extends Error {}

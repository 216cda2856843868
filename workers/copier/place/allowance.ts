/**
 * This worker's part of a broker's rate, leased in slices. What is not used
 * within a second is given up, so that an idle worker's slice cannot be spent
 * on top of what the others were given since.
 */
import { lease } from "./rate.ts";
import type { Clock } from "../../runtime/clock.ts";
import { run, type Redis } from "../../runtime/redis.ts";

/** A tenth of a second at a time. */
const SLICES_PER_SECOND = 10;
const KEPT_MS = 1_000;

export class Allowance {
  /** No more than this goes out at once. */
  readonly slice: number;
  readonly #redis: Redis;
  readonly #clock: Clock;
  readonly #broker: string;
  readonly #ordersPerSecond: number;
  #left = 0;
  #leasedAtMs = 0;
  #emptyUntilMs = 0;

  constructor(redis: Redis, clock: Clock, broker: string, ordersPerSecond: number) {
    this.#redis = redis;
    this.#clock = clock;
    this.#broker = broker;
    this.#ordersPerSecond = ordersPerSecond;
    this.slice = Math.max(1, Math.floor(ordersPerSecond / SLICES_PER_SECOND));
  }

  /** Takes that many, all or none; answers 0, or after how many milliseconds to come again. */
  async take(orders: number): Promise<number> {
    if (this.#clock.nowMs() > this.#leasedAtMs + KEPT_MS) this.#left = 0;
    if (this.#left < orders) {
      const waitMs = this.#emptyUntilMs - this.#clock.nowMs();
      if (waitMs > 0) return waitMs;
      await this.#lease(Math.max(orders - this.#left, this.slice));
    }
    if (this.#left < orders) return Math.max(1, this.#emptyUntilMs - this.#clock.nowMs());
    this.#left -= orders;
    return 0;
  }

  async #lease(wanted: number): Promise<void> {
    const args = { broker: this.#broker, ordersPerSecond: this.#ordersPerSecond, wanted };
    const { granted, waitMs } = await run(this.#redis, lease, args);
    this.#left += granted;
    this.#leasedAtMs = this.#clock.nowMs();
    if (granted < wanted) this.#emptyUntilMs = this.#leasedAtMs + waitMs;
  }
}

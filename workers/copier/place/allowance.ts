/**
 * How many orders a second all workers of a region together may send to a broker:
 * a bucket that fills at the broker's rate and has room for one second. Each
 * worker leases slices of it, so that not every send asks Redis. A slice that is
 * not used within a second expires, so that an idle worker cannot spend it in
 * addition to what the others were given since.
 */
import type { Clock } from "../../runtime/clock.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { asInteger, asList, defineScript, LUA_NOW } from "../../../redis/script.ts";

export interface LeaseArgs {
  readonly broker: string;
  readonly ordersPerSecond: number;
  readonly wanted: number;
}

export interface LeaseReply {
  /** As many as were available, at most the wanted number. */
  readonly granted: number;
  /** How long until another one is available. */
  readonly waitMs: number;
}

/** HASH: `tokens`, `at` (epoch ms). It belongs to all partitions, so it has its own slot. */
export function rateKey(broker: string): string {
  return `rate:{${broker}}`;
}

const lua = `
${LUA_NOW}
local rate, wanted, now = tonumber(rate), tonumber(wanted), now_ms()
local full = math.max(rate, 1)
local stored = redis.call('HMGET', bucket, 'tokens', 'at')
local tokens = full
if stored[1] then
  tokens = math.min(full, tonumber(stored[1]) + math.max(now - tonumber(stored[2]), 0) * rate / 1000)
end
local granted = math.min(wanted, math.floor(tokens))
tokens = tokens - granted
redis.call('HSET', bucket, 'tokens', string.format('%.6f', tokens), 'at', string.format('%d', now))
redis.call('PEXPIRE', bucket, math.ceil(full / rate * 1000) + 1000)
return {granted, math.ceil(math.max(1 - tokens, 0) * 1000 / rate)}
`;

export const lease = defineScript<LeaseArgs, LeaseReply>({
  name: "lease",
  lua,
  keys: { bucket: ({ broker }) => rateKey(broker) },
  args: {
    rate: ({ ordersPerSecond }) => ordersPerSecond,
    wanted: ({ wanted }) => wanted,
  },
  reply(raw) {
    const [granted = 0, waitMs = 0] = asList(raw).map(asInteger);
    return { granted, waitMs };
  },
});

/** A slice is a tenth of a second. */
const SLICES_PER_SECOND = 10;
const KEPT_MS = 1_000;

export class Allowance {
  /** At most this many orders are sent at once. */
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

  /** Takes that many, all or none. Returns 0, or the milliseconds until the next try. */
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

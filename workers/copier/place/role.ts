/** The worker beside a broker: takes jobs, places orders, asks about what stayed unknown, follows settlements. */
import { PartitionMap } from "../../../redis/keys.ts";
import { connectBroker } from "../brokers/registry.ts";
import { SYSTEM_CLOCK } from "../../runtime/clock.ts";
import { Slots } from "../../runtime/slots.ts";
import { armCrashPoint } from "../../runtime/crash-point.ts";
import type { Role } from "../../runtime/role.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { Allowance } from "./allowance.ts";
import type { FanOut } from "./fan-out.ts";
import { HaltCache } from "./halt-cache.ts";
import { LayerCache } from "./layer-cache.ts";
import { runLoops } from "./loops.ts";
import { RosterCache } from "./roster-cache.ts";
import { followSettlements } from "./settlements.ts";

/** Of all that a worker has in flight, questions take at most this share: they may wait, and jobs have a deadline. */
const QUESTIONS_SHARE = 1 / 4;

export const role: Role = async (env, stop, ready) => {
  armCrashPoint(env.FANFARE_CRASH_AT);
  const redis = connectRedis(env.FANFARE_REDIS_URL);
  const partitions = new PartitionMap(env.FANFARE_PARTITIONS);
  const broker = connectBroker(env);
  const roster = new RosterCache(redis);
  const halts = new HaltCache(redis);
  const layers = new LayerCache(redis);
  const rate = env.FANFARE_BROKER_RATE;
  const allowance = rate ? new Allowance(redis, SYSTEM_CLOCK, broker.name, rate) : undefined;
  const consumer = env.FANFARE_CONSUMER;
  const inFlight = env.FANFARE_JOBS_IN_FLIGHT;
  const questionsInFlight = Math.max(1, Math.floor(inFlight * QUESTIONS_SHARE));
  const slots = {
    jobs: new Slots(inFlight - questionsInFlight),
    questions: new Slots(questionsInFlight),
    closes: new Slots(questionsInFlight),
  };

  const loops = partitions.all().flatMap((partition) => {
    const clock = SYSTEM_CLOCK;
    const parts: FanOut = { redis, roster, halts, layers, broker, allowance, partition, clock };
    return runLoops(parts, {
      connect: () => connectRedis(env.FANFARE_REDIS_URL),
      consumer,
      reclaimIdleMs: env.FANFARE_RECLAIM_IDLE_MS,
      slots,
      stop,
    });
  });
  ready();
  await Promise.all([...loops, followSettlements({ redis, broker, partitions, consumer, stop })]);
  redis.close();
};

/** The worker beside a broker: takes jobs, places orders, asks about what stayed unknown, follows settlements. */
import { GROUPS } from "../../../redis/streams.ts";
import { PartitionMap, RegionKeys } from "../../../redis/keys.ts";
import { connectBroker } from "../brokers/registry.ts";
import { SYSTEM_CLOCK } from "../../runtime/clock.ts";
import { consume, type Verdict } from "../../runtime/consume.ts";
import type { Entry } from "../../runtime/entries.ts";
import { Slots } from "../../runtime/slots.ts";
import { armCrashPoint } from "../../runtime/crash-point.ts";
import type { Role } from "../../runtime/role.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { Allowance } from "./allowance.ts";
import { closeShard } from "./closing.ts";
import { fanOut, type FanOut } from "./fan-out.ts";
import { HaltCache } from "./halt-cache.ts";
import { LayerCache } from "./layer-cache.ts";
import { answerQuestion } from "./questions.ts";
import { RosterCache } from "./roster-cache.ts";
import { followSettlements } from "./settlements.ts";

/** Shards of one partition in flight at once. */
const JOBS_AT_ONCE = 8;
const QUESTIONS_AT_ONCE = 2;
/** Of all that a worker has in flight, questions take at most this share: they may wait, and jobs have a deadline. */
const QUESTIONS_SHARE = 1 / 4;
/** Closes have slots of their own, as many as questions: one that a halt holds must keep no open waiting. */
const CLOSES_AT_ONCE = 4;

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
  const questionSlots = new Slots(questionsInFlight);
  const closeSlots = new Slots(questionsInFlight);
  const jobSlots = new Slots(inFlight - questionsInFlight);

  const loop = (
    stream: string,
    concurrency: number,
    slots: Slots,
    handle: (entry: Entry) => Promise<Verdict>,
  ): Promise<void> =>
    consume({
      connect: () => connectRedis(env.FANFARE_REDIS_URL),
      redis,
      clock: SYSTEM_CLOCK,
      stream,
      group: GROUPS.jobs[0],
      consumer,
      batch: 1,
      concurrency,
      slots,
      reclaimIdleMs: env.FANFARE_RECLAIM_IDLE_MS,
      trimBelow: GROUPS.jobs,
      handle: (entries) => Promise.all(entries.map(handle)),
      stop,
    });

  const loops = partitions.all().flatMap((partition) => {
    const region = new RegionKeys(partition);
    const clock = SYSTEM_CLOCK;
    const parts: FanOut = { redis, roster, halts, layers, broker, allowance, partition, clock };
    return [
      loop(region.jobs(broker.name), JOBS_AT_ONCE, jobSlots, (entry) => fanOut(parts, entry)),
      loop(region.questions(broker.name), QUESTIONS_AT_ONCE, questionSlots, (entry) =>
        answerQuestion(parts, entry),
      ),
      loop(region.closes(broker.name), CLOSES_AT_ONCE, closeSlots, (entry) =>
        closeShard(parts, entry),
      ),
    ];
  });
  ready();
  await Promise.all([...loops, followSettlements({ redis, broker, partitions, consumer, stop })]);
  redis.close();
};

/** The workers as their roles start them, each in a process that can die, with the simulation's network and time. */
import { GROUPS } from "../../redis/streams.ts";
import { HomeKeys, RegionKeys, type PartitionMap } from "../../redis/keys.ts";
import { closeShard } from "../../workers/copier/place/closing.ts";
import { fanOut, type FanOut } from "../../workers/copier/place/fan-out.ts";
import { HaltCache } from "../../workers/copier/place/halt-cache.ts";
import { LayerCache } from "../../workers/copier/place/layer-cache.ts";
import { answerQuestion } from "../../workers/copier/place/questions.ts";
import { RosterCache } from "../../workers/copier/place/roster-cache.ts";
import { consume, type Verdict } from "../../workers/runtime/consume.ts";
import type { Entry } from "../../workers/runtime/entries.ts";
import { chain } from "../../workers/copier/dispatch/chain.ts";
import { redispatch } from "../../workers/copier/dispatch/redispatch.ts";
import type { SimulatedBroker } from "./broker.ts";
import type { RedisServer } from "./redis/server.ts";
import type { Process } from "./scheduler.ts";

export interface Surroundings {
  readonly redis: RedisServer;
  readonly broker: SimulatedBroker;
  readonly partitions: PartitionMap;
}

/** As in `workers/copier/place/role.ts`. */
const JOBS_AT_ONCE = 8;
const QUESTIONS_AT_ONCE = 2;
const CLOSES_AT_ONCE = 4;
export const RECLAIM_IDLE_MS = 10_000;

export function runBrokerWorker(process: Process, { redis: server, ...parts }: Surroundings): void {
  const redis = server.connect(process);
  const broker = parts.broker.connect(process);
  const clock = process.clock();
  const caches = {
    roster: new RosterCache(redis),
    halts: new HaltCache(redis),
    layers: new LayerCache(redis),
  };
  const loop = (
    stream: string,
    concurrency: number,
    handle: (entry: Entry) => Promise<Verdict>,
  ): void => {
    void consume({
      connect: () => server.connect(process),
      ...{ redis, clock, stream, group: GROUPS.jobs[0], consumer: process.name },
      ...{ batch: 1, concurrency, reclaimIdleMs: RECLAIM_IDLE_MS, trimBelow: GROUPS.jobs },
      handle: (entries) => Promise.all(entries.map(handle)),
      stop: NEVER,
    });
  };
  for (const partition of parts.partitions.all()) {
    const region = new RegionKeys(partition);
    const job: FanOut = { redis, ...caches, broker, partition, clock };
    loop(region.jobs(broker.name), JOBS_AT_ONCE, (entry) => fanOut(job, entry));
    loop(region.questions(broker.name), QUESTIONS_AT_ONCE, (entry) => answerQuestion(job, entry));
    loop(region.closes(broker.name), CLOSES_AT_ONCE, (entry) => closeShard(job, entry));
  }
}

export function runDispatcher(process: Process, { redis: server, partitions }: Surroundings): void {
  const home = server.connect(process);
  const clock = process.clock();
  for (const partition of partitions.all()) {
    void redispatch({
      ...{ home, regions: new Map([["local", home]]), partition, clock, stop: NEVER },
    });
    void consume({
      connect: () => server.connect(process),
      ...{ redis: home, clock, stream: new HomeKeys(partition).signals, group: "chain" },
      ...{ consumer: process.name, batch: 100, concurrency: 1, reclaimIdleMs: RECLAIM_IDLE_MS },
      trimBelow: GROUPS.signals,
      handle: (entries) => chain(home, partition, sign, entries),
      stop: NEVER,
    });
  }
}

/** Workers of the simulation are not stopped; at the end they are left where they stand. */
const NEVER = new AbortController().signal;

/** The signature's own algorithm is no matter of order or loss. */
const sign = (hash: string): Promise<string> => Promise.resolve(`signed ${hash}`);

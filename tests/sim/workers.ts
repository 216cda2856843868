/** The workers as their roles start them, each in a process that can die, with the simulation's network and time. */
import { GROUPS } from "../../redis/streams.ts";
import { HomeKeys, type PartitionMap } from "../../redis/keys.ts";
import type { FanOut } from "../../workers/copier/place/fan-out.ts";
import { HaltCache } from "../../workers/copier/place/halt-cache.ts";
import { LayerCache } from "../../workers/copier/place/layer-cache.ts";
import { runLoops } from "../../workers/copier/place/loops.ts";
import { RosterCache } from "../../workers/copier/place/roster-cache.ts";
import { consume } from "../../workers/runtime/consume.ts";
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
  for (const partition of parts.partitions.all()) {
    const job: FanOut = { redis, ...caches, broker, partition, clock };
    void runLoops(job, {
      connect: () => server.connect(process),
      consumer: process.name,
      reclaimIdleMs: RECLAIM_IDLE_MS,
      stop: NEVER,
    });
  }
}

export function runDispatcher(process: Process, { redis: server, partitions }: Surroundings): void {
  const home = server.connect(process);
  const clock = process.clock();
  for (const partition of partitions.all()) {
    void redispatch({
      home,
      regions: new Map([["local", home]]),
      partition,
      clock,
      stop: NEVER,
    });
    void consume({
      connect: () => server.connect(process),
      redis: home,
      clock,
      stream: new HomeKeys(partition).signals,
      group: "chain",
      consumer: process.name,
      batch: 100,
      concurrency: 1,
      reclaimIdleMs: RECLAIM_IDLE_MS,
      trimBelow: GROUPS.signals,
      mostFailures: Number.POSITIVE_INFINITY,
      handle: (entries) => chain(home, partition, sign, entries),
      stop: NEVER,
    });
  }
}

/** Workers of the simulation are not stopped; at the end they are abandoned. */
const NEVER = new AbortController().signal;

/** The algorithm of the signature does not affect order or loss. */
const sign = (hash: string): Promise<string> => Promise.resolve(`signed ${hash}`);

/**
 * The reconciler's sources: every Redis, the records, and each broker. It writes
 * to none of them.
 */
import type { PartitionMap } from "../../../redis/keys.ts";
import type { Broker } from "../brokers/port.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Records } from "../../records/port.ts";
import type { Redis } from "../../runtime/redis.ts";

export interface Sources {
  readonly home: Redis;
  readonly regions: ReadonlyMap<string, Redis>;
  readonly partitions: PartitionMap;
  readonly records: Records;
  /** By name. */
  readonly brokers: ReadonlyMap<string, Broker>;
  readonly clock: Clock;
}

/** Accepted signals and their jobs, for tests that use few of their fields. */
import { asId, signalIdIn, type SignalId } from "../../domain/ids.ts";
import type { AcceptedOpen } from "../../domain/copier/signal.ts";
import type { Job } from "../../redis/job.ts";

/** The same id for the same index, of home partition 0. */
export function signalIdOf(index: number): SignalId {
  return signalIdIn(0, index.toString(16).padStart(32, "0"));
}

/** A call on EUR/USD in the channel `demo`. */
export function acceptedOpen(changes: Partial<AcceptedOpen> = {}): AcceptedOpen {
  return {
    id: signalIdOf(0),
    channel: asId("demo"),
    sender: asId("sender"),
    provider: asId("provider"),
    symbol: "EUR/USD",
    contract: "CALL",
    stakeCents: 500,
    durationSeconds: 60,
    sequence: 1,
    acceptedAtMs: 1_800_000_000_000,
    deadlineMs: 1_800_000_001_000,
    ...changes,
  };
}

/** The job of shard 0, at the broker `desk`. */
export function jobOf(signal: AcceptedOpen, changes: Partial<Job> = {}): Job {
  return {
    signal,
    broker: "desk",
    shard: 0,
    version: 1,
    count: 1,
    dispatchedAtMs: signal.acceptedAtMs + 1,
    ...changes,
  };
}

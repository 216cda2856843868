/**
 * The broker worker: handles jobs, places orders, asks about unknown copies,
 * follows settlements.
 */
import type * as v from "valibot";
import type { OutcomeKind } from "../../../domain/copier/outcome.ts";
import { connectBroker } from "../brokers/registry.ts";
import { Slots } from "../../runtime/slots.ts";
import type { Role, RoleContext } from "../../runtime/role.ts";
import { Allowance } from "./allowance.ts";
import type { FanOut } from "./fan-out.ts";
import { PlaceEnv } from "./env.ts";
import { HaltCache } from "./halt-cache.ts";
import { LayerCache } from "./layer-cache.ts";
import { runLoops } from "./loops.ts";
import { RosterCache } from "./roster-cache.ts";
import { followSettlements } from "./settlements.ts";

/**
 * Questions use at most this share of a worker's slots: they can wait, and jobs
 * have a deadline.
 */
const QUESTIONS_SHARE = 1 / 4;

export const role: Role<typeof PlaceEnv> = { settings: PlaceEnv, run };

async function run(context: RoleContext<v.InferOutput<typeof PlaceEnv>>): Promise<void> {
  const { settings, connections, clock, metrics, stop, ready } = context;
  const { redis, partitions } = connections;
  const broker = connectBroker(settings);
  const roster = new RosterCache(redis);
  const halts = new HaltCache(redis);
  const layers = new LayerCache(redis);
  const rate = settings.FANFARE_BROKER_RATE;
  const allowance = rate ? new Allowance(redis, clock, broker.name, rate) : undefined;
  const consumer = settings.FANFARE_CONSUMER;
  const inFlight = settings.FANFARE_JOBS_IN_FLIGHT;
  const questionsInFlight = Math.max(1, Math.floor(inFlight * QUESTIONS_SHARE));
  const slots = {
    jobs: new Slots(inFlight - questionsInFlight),
    questions: new Slots(questionsInFlight),
    closes: new Slots(questionsInFlight),
  };

  const copies = metrics.counter("fanfare_copies_total", "Outcomes that were reported, by kind.", [
    "outcome",
  ]);
  const onReported = (counts: Readonly<Partial<Record<OutcomeKind, number>>>): void => {
    for (const [outcome, count] of Object.entries(counts)) copies.inc({ outcome }, count);
  };

  const stale = metrics.counter(
    "fanfare_stale_decisions_total",
    "Shards that were decided again, as the roster, a stop or their settings had changed meanwhile.",
  );

  const loops = partitions.all().flatMap((partition) => {
    const parts: FanOut = {
      redis,
      roster,
      halts,
      layers,
      broker,
      allowance,
      partition,
      clock,
      onReported,
      onStale: () => {
        stale.inc();
      },
    };
    return runLoops(parts, {
      connect: () => connections.another(redis),
      entries: metrics.entries.bind(metrics),
      consumer,
      reclaimIdleMs: settings.FANFARE_RECLAIM_IDLE_MS,
      slots,
      stop,
    });
  });
  ready();
  await Promise.all([...loops, followSettlements({ redis, broker, partitions, consumer, stop })]);
}

/** The worker beside a broker: takes jobs, places orders, asks about what stayed unknown, follows settlements. */
import type * as v from "valibot";
import type { OutcomeKind } from "../../../domain/copier/outcome.ts";
import { GROUPS } from "../../../redis/streams.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { connectBroker } from "../brokers/registry.ts";
import { consume, type Verdict } from "../../runtime/consume.ts";
import type { Entry } from "../../runtime/entries.ts";
import { Slots } from "../../runtime/slots.ts";
import type { Role, RoleContext } from "../../runtime/role.ts";
import { Allowance } from "./allowance.ts";
import { closeShard } from "./closing.ts";
import { PlaceEnv } from "./env.ts";
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
  const questionSlots = new Slots(questionsInFlight);
  const closeSlots = new Slots(questionsInFlight);
  const jobSlots = new Slots(inFlight - questionsInFlight);

  const copies = metrics.counter("fanfare_copies_total", "Outcomes that were reported, by kind.", [
    "outcome",
  ]);
  const onReported = (counts: Readonly<Partial<Record<OutcomeKind, number>>>): void => {
    for (const [outcome, count] of Object.entries(counts)) copies.inc({ outcome }, count);
  };

  const loop = (
    kind: string,
    stream: string,
    concurrency: number,
    slots: Slots,
    handle: (entry: Entry) => Promise<Verdict>,
  ): Promise<void> =>
    consume({
      connect: () => connections.another(redis),
      redis,
      clock,
      stream,
      group: GROUPS.jobs[0],
      consumer,
      batch: 1,
      concurrency,
      slots,
      reclaimIdleMs: settings.FANFARE_RECLAIM_IDLE_MS,
      trimBelow: GROUPS.jobs,
      handle: metrics.counted(kind, GROUPS.jobs[0], (entries) => Promise.all(entries.map(handle))),
      stop,
    });

  const loops = partitions.all().flatMap((partition) => {
    const region = new RegionKeys(partition);
    const parts: FanOut = {
      ...{ redis, roster, halts, layers, broker, allowance, partition, clock },
      onReported,
    };
    return [
      loop("jobs", region.jobs(broker.name), JOBS_AT_ONCE, jobSlots, (entry) =>
        fanOut(parts, entry),
      ),
      loop("questions", region.questions(broker.name), QUESTIONS_AT_ONCE, questionSlots, (entry) =>
        answerQuestion(parts, entry),
      ),
      loop("closes", region.closes(broker.name), CLOSES_AT_ONCE, closeSlots, (entry) =>
        closeShard(parts, entry),
      ),
    ];
  });
  ready();
  await Promise.all([...loops, followSettlements({ redis, broker, partitions, consumer, stop })]);
}

/** The simulated world of one seed: its parts, its events and its faults. */
import type { Capabilities } from "../../workers/copier/brokers/port.ts";
import { accept } from "../../redis/accept.ts";
import { link, overdue } from "../../workers/copier/dispatch/undispatched.ts";
import { enqueue } from "../../redis/enqueue.ts";
import { answer, report } from "../../workers/copier/stored/outcomes.ts";
import { enqueueClose } from "../../redis/enqueue-close.ts";
import { moveClosing, noteSent } from "../../workers/copier/stored/closing.ts";
import { runSince } from "../../workers/copier/stored/run.ts";
import { abandon, intend } from "../../workers/copier/stored/intents.ts";
import { setLayer } from "../../workers/copier/stored/layers.ts";
import { PartitionMap, RegionKeys } from "../../redis/keys.ts";
import { route } from "../../redis/route.ts";
import { seat } from "../../workers/copier/roster/seat.ts";
import { moveToDeadLetters, noteFailure, stillPending, trim } from "../../redis/streams.ts";
import { SimulatedBroker } from "./broker.ts";
import {
  openChannel,
  project,
  sendSignal,
  setLayers,
  createSubscription,
  CHANNEL,
  PROVIDER,
} from "./edge.ts";
import { Oracle } from "./oracle.ts";
import { Random } from "./random.ts";
import { hashScript } from "./redis/lua.ts";
import { RedisServer } from "./redis/server.ts";
import { Process, Scheduler } from "./scheduler.ts";
import { findFaults, type Verdict } from "./verdict.ts";
import { runBrokerWorker, runDispatcher, type Surroundings } from "./workers.ts";

const DESK: Capabilities = {
  deduplicates: "account",
  lookUp: "authoritative",
  validUntil: "enforced",
  inFlightMs: 4_000,
  closes: "once",
};
const SECOND_US = 1_000_000;
/**
 * Everything is finished this long after the last fault: an entry that was delivered to the
 * connection of a worker's previous run, just after its new run read its pending entries, waits for
 * a reclaim.
 */
const PATIENCE_US = 14 * SECOND_US;
/**
 * A job that fails each time is given up after five seconds; each outage in between adds to this
 * time.
 */
const GIVEN_UP_US = 20 * SECOND_US;
const LOOK_EVERY_US = 100_000;

export interface Seeded extends Verdict {
  readonly seed: number;
  /** A hash of every step: equal if two runs did the same. */
  readonly hash: string;
  readonly trace: readonly string[];
  readonly virtualMs: number;
}

/** Runs a seed to its end. Call it from a macrotask, see `Scheduler`. */
export function runSeed(seed: number, keepTrace = false): Seeded {
  return new World(seed, keepTrace).run();
}

class World {
  readonly #seed: number;
  readonly #random: Random;
  readonly #scheduler = new Scheduler();
  readonly #trace: string[] = [];
  readonly #keepTrace: boolean;
  #hash = 0n;
  readonly #parts: Surroundings;
  readonly #oracle: Oracle;
  readonly #running = new Map<string, Process>();
  /**
   * The time from which a pause above all followers is stored in every partition, and nothing was
   * lost since.
   */
  #pausedFromMs = Infinity;
  /** Whether something is stored that makes every decision of a partition throw. */
  #isSpoilt = false;
  /** When the last signal was sent and the last thing went wrong. */
  #calmAtUs = 0;

  constructor(seed: number, keepTrace: boolean) {
    this.#seed = seed;
    this.#keepTrace = keepTrace;
    this.#random = new Random(seed);
    const random = this.#random;
    const trace = (text: string): void => this.#note(text);
    const redis = new RedisServer(this.#scheduler, random, (observed) => {
      const { command, args, reply, process } = observed;
      if (command === "XREADGROUP" && reply === null) return;
      const shown = reply instanceof Error ? reply.message : JSON.stringify(reply);
      trace(`${process} ${callText(command, args)} → ${shown}`);
      this.#oracle.observe(observed);
    });
    const partitions = new PartitionMap(random.between(1, 2));
    const broker = new SimulatedBroker(this.#scheduler, random, capabilitiesBy(random), trace);
    this.#parts = { redis, broker, partitions };
    this.#oracle = new Oracle(redis, partitions);
  }

  #note(text: string): void {
    const line = `${this.#scheduler.nowUs} ${text}`;
    this.#hash = Bun.hash.wyhash(line, this.#hash);
    if (this.#keepTrace) this.#trace.push(line);
  }

  run(): Seeded {
    this.#open();
    this.#happen();
    let looksAtUs = 0;
    let faults: readonly string[] | undefined;
    const look = (): boolean => {
      const { nowUs } = this.#scheduler;
      if (nowUs < looksAtUs) return faults !== undefined;
      looksAtUs = nowUs + LOOK_EVERY_US;
      if (nowUs < this.#calmAtUs) return false;
      const verdict = this.#verdict();
      const isLate = nowUs > this.#calmAtUs + this.#patienceUs();
      if (verdict.open.length === 0 || isLate) faults = [...verdict.faults, ...verdict.open];
      return faults !== undefined;
    };
    this.#scheduler.run(look);
    const { lost, late } = this.#verdict();
    return {
      seed: this.#seed,
      hash: this.#hash.toString(16),
      trace: this.#trace,
      lost,
      late,
      faults: faults ?? ["time stood still"],
      open: [],
      virtualMs: this.#scheduler.nowUs / 1_000,
    };
  }

  /** A close that must not be repeated is asked about for as long as it may be in flight. */
  #patienceUs(): number {
    const { closes, inFlightMs } = this.#parts.broker.capabilities;
    const givenUpUs = this.#isSpoilt ? GIVEN_UP_US : 0;
    return PATIENCE_US + givenUpUs + (closes === "once" ? 0 : 4 * inFlightMs * 1_000);
  }

  #verdict(): Verdict {
    return findFaults(this.#parts, this.#oracle, this.#scheduler.nowMs(), {
      pausedFromMs: this.#pausedFromMs,
      isSpoilt: this.#isSpoilt,
    });
  }

  /** A channel with followers, before anything can go wrong. */
  #open(): void {
    const { redis, partitions } = this.#parts;
    const process = new Process("records", this.#scheduler);
    const client = redis.connect(process);
    const followers = this.#random.between(2, 8);
    const expiresAtMs = this.#scheduler.nowMs() + 3_600_000;
    let isOpen = false;
    void (async () => {
      await openChannel(client, partitions, this.#random.pick([150, 400, 1_000]));
      for (let index = 0; index < followers; index += 1) {
        await project(process, client, partitions, createSubscription(index, expiresAtMs));
      }
      isOpen = true;
    })();
    this.#scheduler.run(() => isOpen);
    // The roster is old enough: no restart loses it.
    this.#scheduler.nowUs += 2 * SECOND_US;
    for (const name of ["one", "two"]) this.#start(name);
    for (const name of ["dispatch-one", "dispatch-two"]) this.#start(name);
    for (let change = this.#random.below(3); change > 0; change -= 1) {
      const index = this.#random.below(followers + 1);
      const state = this.#random.pick(["left", "paused", "active"] as const);
      const version = 1 + change;
      const changed = { ...createSubscription(index, expiresAtMs), state, version };
      this.#scheduler.after(this.#random.below(SECOND_US), () => {
        void project(process, client, partitions, changed);
      });
    }
    this.#layer(process);
    this.#spoil(process);
  }

  /** In one world of six, the settings above the plans of a partition cannot be parsed any more. */
  #spoil(process: Process): void {
    const random = this.#random;
    if (!random.chance(1 / 6)) return;
    const { redis, partitions } = this.#parts;
    const key = new RegionKeys(random.pick(partitions.all())).layers;
    this.#isSpoilt = true;
    const atUs = this.#scheduler.nowUs + random.below(SECOND_US);
    this.#disturbAt(atUs);
    this.#scheduler.at(atUs, () => {
      // If a restarting Redis loses it, everything is as if it had never happened.
      void redis
        .connect(process)
        .send("HSET", [key, "platform", "9,{", "version", "99"])
        .catch(() => undefined);
    });
  }

  /** In one world of four, settings above all followers change while signals are in progress. */
  #layer(process: Process): void {
    const random = this.#random;
    if (!random.chance(0.25)) return;
    const { redis, partitions } = this.#parts;
    const scope = random.pick(["platform", `provider:${PROVIDER}`, `channel:${CHANNEL}`] as const);
    const paused = random.chance(0.6);
    const settings = { plan: { maxStakeCents: 50, maxOpen: 2 }, paused };
    this.#scheduler.after(random.below(SECOND_US), () => {
      const client = redis.connect(process);
      const layer = { scope, version: 1, settings };
      void setLayers(process, client, partitions, layer).then(() => {
        if (paused) this.#pausedFromMs = this.#scheduler.nowMs();
      });
    });
  }

  #start(name: string): void {
    const process = new Process(name, this.#scheduler);
    this.#running.set(name, process);
    this.#note(`${name} starts`);
    if (name.startsWith("dispatch")) runDispatcher(process, this.#parts);
    else runBrokerWorker(process, this.#parts);
  }

  #happen(): void {
    const random = this.#random;
    const { redis, partitions } = this.#parts;
    for (let index = random.between(1, 3); index > 0; index -= 1) {
      const atUs = this.#scheduler.nowUs + random.below(SECOND_US);
      const process = new Process(`edge-${index}`, this.#scheduler);
      // One in four edges dies during the dispatch.
      if (random.chance(0.25)) process.setFuse(random.below(6), () => this.#kill(process));
      const durationSeconds = random.pick([1, 3, 60]);
      const signal = {
        channel: CHANNEL,
        symbol: "EUR/USD",
        contract: "CALL",
        stakeCents: 500,
      } as const;
      this.#scheduler.at(atUs, () => {
        void sendSignal(process, redis.connect(process), partitions, random, {
          signal: { ...signal, durationSeconds },
          idempotencyKey: `key-${index}`,
          twice: random.chance(0.2),
        });
      });
      this.#disturbAt(atUs);
    }
    this.#close();
    if (random.chance(0.1)) return;
    const { broker } = this.#parts;
    const some = (): number => random.pick([0, 0, 5, 30]);
    broker.faults = { lost: some(), answerLost: some(), held: some(), busy: some() };
    for (let count = random.between(1, 5); count > 0; count -= 1) this.#plan();
    // The network works again at the end.
    this.#scheduler.at(this.#calmAtUs, () => {
      broker.faults = { lost: 0, answerLost: 0, held: 0, busy: 0 };
    });
  }

  /** Closes everything that is open by then, perhaps one close while another is in progress. */
  #close(): void {
    const random = this.#random;
    const { redis, partitions } = this.#parts;
    for (let index = random.below(3); index > 0; index -= 1) {
      const atUs = this.#scheduler.nowUs + random.below(1.5 * SECOND_US);
      const process = new Process(`closer-${index}`, this.#scheduler);
      if (random.chance(0.25)) process.setFuse(random.below(8), () => this.#kill(process));
      this.#scheduler.at(atUs, () => {
        void sendSignal(process, redis.connect(process), partitions, random, {
          signal: { action: "close", channel: CHANNEL, symbol: "EUR/USD" },
          idempotencyKey: `close-${index}`,
          twice: random.chance(0.2),
        });
      });
      this.#disturbAt(atUs);
    }
  }

  #disturbAt(atUs: number): void {
    this.#calmAtUs = Math.max(this.#calmAtUs, atUs);
  }

  #kill(process: Process): void {
    this.#note(`${process.name} dies`);
    process.kill();
    this.#parts.redis.forget(process);
  }

  /** A fault at some time soon. */
  #plan(): void {
    const random = this.#random;
    const { redis, broker } = this.#parts;
    const scheduler = this.#scheduler;
    const name = random.pick(["one", "two", "one", "two", "dispatch-one", "dispatch-two"]);
    const atUs = scheduler.nowUs + random.below(2 * SECOND_US);
    const lastsUs = random.pick([5_000, 100_000, SECOND_US, 3 * SECOND_US]);
    this.#disturbAt(atUs + lastsUs);
    const happen = random.pick<() => void>([
      () => {
        // At the time, or at a step of it soon after.
        const process = this.#running.get(name)!;
        process.setFuse(random.below(25), () => {
          this.#kill(process);
          this.#disturbAt(scheduler.nowUs + lastsUs);
          scheduler.after(lastsUs, () => this.#start(name));
        });
      },
      () => {
        const process = this.#running.get(name)!;
        // Some are suspended for so long that their entries are taken over.
        const longUs = random.chance(0.4) ? 14 * SECOND_US : lastsUs;
        process.setFuse(random.below(25), () => {
          this.#note(`${name} is paused for ${longUs}`);
          process.pauseUntil(scheduler.nowUs + longUs);
          this.#disturbAt(scheduler.nowUs + longUs);
        });
      },
      () => {
        this.#note(`${name} loses its connections`);
        redis.drop(this.#running.get(name)!);
      },
      () => {
        const losesTail = random.chance(0.3);
        this.#note(`Redis restarts${losesTail ? " and loses a tail" : ""}`);
        if (losesTail) this.#pausedFromMs = Infinity;
        redis.restart(lastsUs / 1_000, losesTail);
      },
      () => {
        this.#note("the broker is dead");
        broker.deadUntilUs = scheduler.nowUs + lastsUs;
      },
    ]);
    scheduler.at(atUs, happen);
  }
}

/** The name of a script in the trace, instead of its text or hash. */
const SCRIPT_NAMES = new Map(
  [
    abandon,
    accept,
    answer,
    moveToDeadLetters,
    enqueue,
    enqueueClose,
    intend,
    link,
    moveClosing,
    noteFailure,
    stillPending,
    noteSent,
    overdue,
    report,
    route,
    runSince,
    seat,
    setLayer,
    trim,
  ].flatMap(({ lua, name }) => [
    [lua, name],
    [hashScript(lua), name],
  ]),
);

function callText(command: string, args: readonly string[]): string {
  const [script = "", , ...rest] = args;
  if (!command.startsWith("EVAL")) return `${command} ${args.join(" ")}`;
  return `${SCRIPT_NAMES.get(script) ?? "a script"} ${rest.join(" ")}`;
}

function capabilitiesBy(random: Random): Capabilities {
  if (random.chance(0.5)) return DESK;
  return {
    deduplicates: random.pick(["none", "open-orders", "ten-minutes", "account"]),
    lookUp: random.pick(["authoritative", "hint"]),
    validUntil: random.pick(["enforced", "ignored"]),
    inFlightMs: DESK.inFlightMs,
    ...(random.chance(0.3) ? { ordersPerAccount: 1 } : {}),
    ...(random.chance(0.5) ? { closes: "once" as const } : {}),
  };
}

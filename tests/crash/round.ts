/** One round: real processes, one disaster in the middle of a few fan-outs, and the verdict. */
import { clientOrderId, type SignalId, type SubscriptionId } from "../../domain/ids.ts";
import { RegionKeys } from "../../redis/keys.ts";
import { STORED_SIGNAL_FIELDS, parseStoredSignal } from "../../redis/progress.ts";
import {
  followerOf,
  HOME,
  PARTITIONS,
  readOutcomes,
  startCopier,
  type Copier,
} from "../support/copier.ts";
import { startFakeBroker, type FakeBroker } from "../support/fake-broker.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { startRole, type RoleProcess } from "../support/role.ts";
import { startToxiproxy, type Toxiproxy } from "../support/toxiproxy.ts";
import { until } from "../support/wait.ts";
import type { Plan } from "./plan.ts";
import { judge, mayStayUnknown, type Told, type Verdict } from "./verdict.ts";

const FOLLOWERS = 24;
const SIGNALS = 3;
/** Shorter than a job may take, so that jobs are taken over while their first worker is still at it. */
const RECLAIM_IDLE_MS = 700;
const GIVE_UP_MS = 30_000;

const issuer = (await crypto.subtle.generateKey("Ed25519", true, ["sign"])) as CryptoKeyPair;
const ISSUER_KEY = JSON.stringify(await crypto.subtle.exportKey("jwk", issuer.privateKey));

/** What a disaster has at hand. */
interface World {
  readonly plan: Plan;
  readonly redis: TestRedis;
  readonly fake: FakeBroker;
  readonly copier: Copier;
  readonly toxiproxy: Toxiproxy | undefined;
  readonly sent: SignalId[];
  start(role: "broker" | "dispatch", consumer: string, crashAt?: string): Promise<RoleProcess>;
  /** Sends a signal, as an edge that dies before it has dispatched; what goes unanswered was not accepted. */
  send(): Promise<void>;
}

export interface Played extends Verdict {
  /** Whether the point where a process was to end was reached; a question's, where all is answered, never is. */
  readonly struck: boolean;
}

export async function playRound(plan: Plan, seed: number): Promise<Played> {
  const toxiproxy = plan.disaster.kind === "network" ? await startToxiproxy() : undefined;
  const redis = await startRedis({ appendOnly: true });
  const fake = await startFakeBroker(plan.broker, { seed: seed + plan.round, inFlightMs: 1_000 });
  const roles: RoleProcess[] = [];
  const brokerPort = (await toxiproxy?.link("broker", fake.port)) ?? fake.port;
  const redisPort = (await toxiproxy?.link("redis", redis.port)) ?? redis.port;
  const parts = {
    redisUrl: redis.url,
    deposit: (...args: Parameters<FakeBroker["deposit"]>) => fake.deposit(...args),
  };
  const copier = await startCopier(parts, FOLLOWERS, { broker: "fake" });
  await settleIn(copier);
  const sent: SignalId[] = [];
  const world: World = {
    ...{ plan, redis, fake, copier, toxiproxy, sent },
    async start(role, consumer, crashAt) {
      const process = await startRole(role, {
        FANFARE_REDIS_URL: `redis://127.0.0.1:${redisPort}`,
        FANFARE_PARTITIONS: "4",
        FANFARE_CONSUMER: consumer,
        FANFARE_RECLAIM_IDLE_MS: String(RECLAIM_IDLE_MS),
        FANFARE_ISSUER_KEY: ISSUER_KEY,
        ...fake.env(`http://127.0.0.1:${brokerPort}`),
        ...(crashAt === undefined ? {} : { FANFARE_CRASH_AT: crashAt }),
      });
      roles.push(process);
      return process;
    },
    async send() {
      const id = await copier
        .send({ durationSeconds: plan.durationSeconds }, false)
        .catch(() => undefined);
      if (id !== undefined) sent.push(id);
    },
  };
  try {
    await fake.misbehave(plan.faults);
    const struck = await strike(world);
    await fake.misbehave({});
    const followers = Array.from({ length: FOLLOWERS }, (_, index) => followerOf(index).id);
    const told = await outcomesOf(world, followers);
    return { ...judge(plan, followers, told, fake.book()), struck };
  } finally {
    await Promise.all(roles.map((role) => role.kill()));
    copier.stop();
    await fake.stop();
    redis.resume();
    await redis.stop();
    await toxiproxy?.stop();
  }
}

/** Lets this Redis have run for long: what is sent in its first seconds would only be asked about. */
async function settleIn({ redis }: Copier): Promise<void> {
  const server = String(await redis.send("INFO", ["server"]));
  const id = /run_id:(\w+)/.exec(server)?.[1] ?? "";
  for (const partition of PARTITIONS.all()) {
    await redis.send("HSET", [new RegionKeys(partition).run, "id", id, "sinceMs", "1"]);
  }
}

async function strike(world: World): Promise<boolean> {
  let struck = true;
  const { disaster } = world.plan;
  const { redis, fake, toxiproxy } = world;
  const atDispatch = disaster.kind === "crash" && disaster.at.endsWith("-enqueue");
  const crashAt = disaster.kind === "crash" ? `${disaster.at}:${disaster.nth}:kill` : undefined;
  const haltAt =
    disaster.kind === "halt before send" ? `before-send:${disaster.nth}:stop` : undefined;
  const dispatch = await world.start("dispatch", "one", atDispatch ? crashAt : undefined);
  const worker = await world.start("broker", "one", atDispatch ? undefined : (crashAt ?? haltAt));
  const clear = redis.appendedBytes();
  for (let index = 0; index < SIGNALS; index += 1) await world.send();

  const accepted = redis.appendedBytes();

  switch (disaster.kind) {
    case "crash": {
      const [role, name] = atDispatch
        ? ([dispatch, "dispatch"] as const)
        : ([worker, "broker"] as const);
      struck = await passes(() => !isAlive(role.pid), 5_000);
      await role.kill();
      await world.start(name, "one");
      break;
    }
    case "kill unanswered": {
      await fake.misbehave({ silent: 1 });
      await passes(() => fake.book().length > 0, 2_500);
      await worker.kill();
      await fake.misbehave(world.plan.faults);
      await world.start("broker", "one");
      break;
    }
    case "kill worker":
      await Bun.sleep(disaster.afterMs + 200);
      await worker.kill();
      await world.start("broker", "one");
      break;
    case "halt before send":
      struck = await passes(() => isHalted(worker.pid), 2_500);
      await world.start("broker", "two");
      await Bun.sleep(disaster.forMs);
      process.kill(worker.pid, "SIGCONT");
      break;
    case "kill Redis":
      await Bun.sleep(disaster.afterMs + 200);
      await redis.kill();
      await redis.restart();
      break;
    case "cut Redis": {
      await Bun.sleep(disaster.afterMs + 200);
      await redis.kill();
      const since = redis.appendedBytes() - clear;
      redis.cutTo(clear + Math.floor(since * (1 - disaster.share)));
      await redis.restart();
      break;
    }
    case "forget the sending":
      struck = await passes(() => fake.book().length > 0, 2_500);
      await redis.kill();
      redis.cutTo(accepted);
      await redis.restart();
      break;
    case "pause Redis":
      await Bun.sleep(disaster.afterMs + 200);
      redis.pause();
      await Bun.sleep(disaster.forMs);
      redis.resume();
      break;
    case "network":
      await Bun.sleep(disaster.afterMs + 150);
      await toxiproxy?.spoil(disaster.to, disaster.toxic);
      await Bun.sleep(disaster.forMs);
      await toxiproxy?.mend(disaster.to);
      break;
  }
  await world.send();
  return struck;
}

async function outcomesOf(
  { plan, copier, fake, sent }: World,
  followers: readonly SubscriptionId[],
): Promise<Told[]> {
  const told: Told[] = [];
  for (const signal of sent) {
    let outcomes: ReadonlyMap<string, readonly string[]> | undefined;
    await passes(async () => {
      const fields = await copier.redis.send("HMGET", [
        HOME.signal(signal),
        ...STORED_SIGNAL_FIELDS,
      ]);
      outcomes = parseStoredSignal(fields) ? await readOutcomes(copier.redis, signal) : undefined;
      if (!outcomes) return true;
      const known = outcomes;
      const booked = Map.groupBy(fake.book(), (line) => line.clientOrderId);
      return followers.every((follower) => {
        const words = known.get(follower) ?? [];
        const id = clientOrderId(signal, follower);
        if (words.some((word) => word !== "unknown")) return true;
        return words.length > 0 && mayStayUnknown(plan.broker, id, booked.get(id)?.length ?? 0);
      });
    }, GIVE_UP_MS);
    told.push({ signal, outcomes });
  }
  return told;
}

/** Waits for what may never be; the verdict tells. */
async function passes(
  probe: () => Promise<boolean> | boolean,
  timeoutMs: number,
): Promise<boolean> {
  return await until("it is so", async () => await probe(), timeoutMs).catch(() => false);
}

function stateOf(pid: number): string {
  const stat = Bun.spawnSync(["ps", "-o", "stat=", "-p", String(pid)])
    .stdout.toString()
    .trim();
  return stat.slice(0, 1);
}
const isAlive = (pid: number): boolean => !["", "Z"].includes(stateOf(pid));
const isHalted = (pid: number): boolean => stateOf(pid) === "T";

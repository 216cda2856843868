/**
 * The set-up of a round: a Redis or a cluster, the fake broker, records, and all connections
 * between them.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SignalId } from "../../domain/ids.ts";
import type { CloseSignal } from "../../domain/copier/signal.ts";
import type { Scope } from "../../domain/copier/scope.ts";
import type { StopAction } from "../../domain/copier/stop.ts";
import { RegionKeys } from "../../redis/keys.ts";
import { writeStop } from "../../workers/copier/roster/stops.ts";
import { openRecords } from "../../workers/records/open.ts";
import type { Records } from "../../workers/records/port.ts";
import { startCluster, type TestCluster } from "../support/cluster.ts";
import { CHANNEL, PARTITIONS, PROVIDER, startCopier, type Copier } from "../support/copier.ts";
import { startLink, type CuttableLink } from "../support/cut.ts";
import { startFakeBroker, type FakeBroker } from "../support/fake-broker.ts";
import type { TestMongo } from "../support/mongo.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { startRole, type RoleProcess } from "../support/role.ts";
import { startToxiproxy, type Toxiproxy } from "../support/toxiproxy.ts";
import { until } from "../support/wait.ts";
import type { Equipment, RoleName } from "./disaster.ts";
import type { Plan } from "./plan.ts";

export const FOLLOWERS = 24;
const DEADLINE_MS = 1_000;
/**
 * Shorter than a job may take, so that jobs are taken over while their first worker still handles
 * them.
 */
const RECLAIM_IDLE_MS = 700;
/** The longest time until a replica has taken over. */
const FAIL_OVER_MS = 30_000;

const issuer = (await crypto.subtle.generateKey("Ed25519", true, ["sign"])) as CryptoKeyPair;
const ISSUER_KEY = JSON.stringify(await crypto.subtle.exportKey("jwk", issuer.privateKey));

export interface SentClose {
  readonly id: SignalId;
  /** How many copies it closes, by the answer to it. */
  readonly copies: number;
  /** The signals that it must close: all that could still be open, or the named one. */
  readonly wanted: readonly SignalId[];
}

/** During this time nothing may be sold for a close of this scope that was sent after its start. */
export interface Hold {
  readonly scope: Scope;
  readonly fromMs: number;
  untilMs: number;
}

/** The parts that a disaster can strike. */
export interface World {
  readonly plan: Plan;
  readonly redis: TestRedis | undefined;
  readonly cluster: TestCluster | undefined;
  readonly fake: FakeBroker;
  readonly copier: Copier;
  readonly toxiproxy: Toxiproxy | undefined;
  /** The connection to MongoDB, and the server; absent if the records are SQLite. */
  readonly mongo: { readonly link: CuttableLink; readonly server: TestMongo } | undefined;
  readonly records: Records;
  /** Settings that lead directly to all of this, without the faulty connections. */
  readonly env: Readonly<Record<string, string>>;
  readonly sent: SignalId[];
  readonly closes: SentClose[];
  readonly holds: Hold[];
  start(role: RoleName, consumer: string, crashAt?: string): Promise<RoleProcess>;
  /**
   * Sends a signal, like an edge that dies before it has dispatched; an unanswered signal was not
   * accepted.
   */
  send(): Promise<void>;
  /** The same for a close. */
  close(what: Pick<CloseSignal, "symbol" | "signal">): Promise<void>;
  /** Halts a scope everywhere; returns a function that lifts the halt. */
  hold(scope: Scope): Promise<() => Promise<void>>;
  /** Waits until the deadlines of all sent signals have passed. */
  due(): Promise<void>;
  stop(): Promise<void>;
}

export async function startWorld(
  plan: Plan,
  seed: number,
  { mongo: shared, noteSyncs }: Pick<Equipment, "mongo" | "noteSyncs">,
): Promise<World> {
  const { disaster, durability, broker } = plan;
  const toxiproxy = disaster.kind === "network" ? await startToxiproxy() : undefined;
  const how = { appendOnly: true, durability, noteSyncs };
  const redis = plan.store === "redis" ? await startRedis(how) : undefined;
  const cluster = redis ? undefined : await startCluster();
  const redisUrl = redis?.url ?? cluster?.url ?? "";
  const fake = await startFakeBroker(broker, { seed: seed + plan.round });
  const folder = mkdtempSync(join(tmpdir(), "fanfare-crash-"));
  const server = shared?.another();
  const mongo = server && { server, link: await startLink(server.port) };

  const env: Record<string, string> = {
    FANFARE_REDIS_URL: redisUrl,
    FANFARE_PARTITIONS: String(PARTITIONS.count),
    FANFARE_DATA: folder,
    FANFARE_RECLAIM_IDLE_MS: String(RECLAIM_IDLE_MS),
    FANFARE_ISSUER_KEY: ISSUER_KEY,
    ...(server ? { MONGODB_URI: server.uri } : {}),
    ...fake.env(),
  };
  // If a connection is faulty, the processes use it and the verdict does not.
  const disturbed: Record<string, string> = {};
  if (toxiproxy && disaster.kind === "network" && disaster.to === "broker") {
    const port = await toxiproxy.link("broker", fake.port);
    Object.assign(disturbed, fake.env(`http://127.0.0.1:${port}`));
  } else if (toxiproxy && disaster.kind === "network" && disaster.to === "redis" && redis) {
    const port = await toxiproxy.link("redis", redis.port);
    disturbed["FANFARE_REDIS_URL"] = `redis://127.0.0.1:${port}`;
  } else if (mongo) {
    const port = (await toxiproxy?.link("records", mongo.server.port)) ?? mongo.link.port;
    disturbed["MONGODB_URI"] = by(mongo.server.uri, port);
  }

  const records = await openRecords({ FANFARE_DATA: folder, MONGODB_URI: server?.uri });
  const deposit: FakeBroker["deposit"] = (...args) => fake.deposit(...args);
  const copier = await startCopier({ redisUrl, deposit }, FOLLOWERS, {
    deadlineMs: DEADLINE_MS,
    broker: "fake",
  });
  await settleIn(copier);
  await recordChannel(records);
  // A disaster takes data of the round, not of its set-up.
  if (redis && disaster.kind === "cut Redis") {
    await until("all is synced", () => redis.syncedBytes() >= redis.appendedBytes());
  }
  await cluster?.replicated();

  const roles: RoleProcess[] = [];
  const sent: SignalId[] = [];
  const closes: SentClose[] = [];
  const holds: Hold[] = [];
  let sentMs = 0;
  const halt = async (scope: Scope, action: StopAction): Promise<void> => {
    const regions = new Map([["local", copier.redis]]);
    const to = { home: copier.redis, regions, partitions: PARTITIONS };
    await until(
      "all partitions confirm",
      async () => {
        return (await writeStop(to, scope, action)).silent.length === 0;
      },
      FAIL_OVER_MS,
    );
  };
  return {
    plan,
    redis,
    cluster,
    fake,
    copier,
    toxiproxy,
    mongo,
    records,
    env,
    sent,
    closes,
    holds,
    async start(role, consumer, crashAt) {
      const process = await startRole(role, {
        ...env,
        ...disturbed,
        FANFARE_CONSUMER: consumer,
        ...(crashAt === undefined ? {} : { FANFARE_CRASH_AT: crashAt }),
      });
      roles.push(process);
      return process;
    },
    async send() {
      const { durationSeconds } = plan;
      const id = await copier.send({ durationSeconds }, false).catch(() => undefined);
      if (id !== undefined) sent.push(id);
      sentMs = Date.now();
    },
    async close(what) {
      const wanted = what.signal === undefined ? [...sent] : [what.signal];
      const acceptance = await copier.close(what, false).catch(() => undefined);
      if (acceptance) closes.push({ id: acceptance.id, copies: acceptance.followers, wanted });
    },
    async hold(scope) {
      await halt(scope, "halt");
      const hold: Hold = { scope, fromMs: Date.now(), untilMs: Infinity };
      holds.push(hold);
      return async () => {
        hold.untilMs = Date.now();
        await halt(scope, "lift");
      };
    },
    async due() {
      await Bun.sleep(Math.max(0, sentMs + DEADLINE_MS - Date.now()));
    },
    async stop() {
      await Promise.all(roles.map((role) => role.kill()));
      copier.stop();
      await fake.stop();
      redis?.resume();
      await Promise.all([redis?.stop(), cluster?.stop(), toxiproxy?.stop()]);
      await records.close();
      server?.process?.resume();
      await mongo?.link.stop();
      await server?.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/**
 * The same database by the proxy: a replica set would report its members' own addresses, and bypass
 * it.
 */
function by(uri: string, port: number): string {
  const way = new URL(uri);
  way.hostname = "127.0.0.1";
  way.port = String(port);
  way.searchParams.set("directConnection", "true");
  way.searchParams.delete("replicaSet");
  return way.href;
}

/**
 * Makes this Redis look as if it had run for long, because orders of its first seconds would only
 * be asked about. Also keeps its events for the verdict, which would otherwise be trimmed once
 * every group has them.
 */
async function settleIn({ redis }: Copier): Promise<void> {
  const lua = `
    local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
    redis.call('HSET', KEYS[1], 'id', run, 'sinceMs', 1)
    redis.call('XGROUP', 'CREATE', KEYS[2], 'verdict', '0', 'MKSTREAM')`;
  for (const partition of PARTITIONS.all()) {
    const { run, events } = new RegionKeys(partition);
    await redis.send("EVAL", [lua, "2", run, events]);
  }
}

async function recordChannel({ channels }: Records): Promise<void> {
  await channels.insert({
    _id: CHANNEL,
    name: "Demo",
    provider: PROVIDER,
    symbols: [],
    deadlineMs: DEADLINE_MS,
    version: 1,
    grants: {},
    outbox: false,
  });
}

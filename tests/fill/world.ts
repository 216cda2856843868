/**
 * A running channel with a thousand followers: a home Redis and a region's Redis,
 * the records, every role of the copier, an edge, and a broker that knows no ids,
 * so that an order that is sent twice is on its book twice.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { startBridge } from "../../local/bridge.ts";
import { canonicalBody, type OpenSignal } from "../../domain/copier/signal.ts";
import { signalIdIn } from "../../domain/ids.ts";
import { accept } from "../../redis/accept.ts";
import { PARTS } from "../../redis/filled.ts";
import { formatKey } from "../../redis/keys.ts";
import type { Records } from "../../workers/records/port.ts";
import { openSqliteRecords } from "../../workers/records/sqlite/open.ts";
import { connectRedis } from "../../workers/runtime/redis-client.ts";
import { run, type Redis } from "../../workers/runtime/redis.ts";
import { RUNTIMES } from "../runtime/launch.ts";
import { CHANNEL, followerOf, HOME, PARTITIONS, PROVIDER } from "../support/copier.ts";
import { runCommand } from "../support/command.ts";
import { startFakeBroker, type FakeBroker } from "../support/fake-broker.ts";
import { freePort } from "../support/ports.ts";
import { startRole, type RoleProcess } from "../support/role.ts";
import { until } from "../support/wait.ts";

export const FOLLOWERS = 1_000;
const OPEN = { contract: "CALL", stakeCents: 500, durationSeconds: 60 };

/** One Redis, or a cluster. */
export interface Store {
  readonly url: string;
  stop(): Promise<void>;
}

export interface World {
  readonly home: Redis;
  readonly region: Redis;
  readonly records: Records;
  readonly broker: FakeBroker;
  readonly roles: Map<string, RoleProcess>;
  /** Starts a role under its name, or another process of it under a different name. */
  start(role: string, name?: string, changes?: Readonly<Record<string, string>>): Promise<void>;
  /** `npm run control`, with these words. */
  control(...words: readonly string[]): Promise<void>;
  /** Sends one signal; it opens unless the argument says otherwise. */
  send(signal?: Readonly<Record<string, unknown>>): Promise<Sent>;
  /** The orders of a signal on the broker's book, by client order id. */
  booked(signal: string): string[];
  /** Recorded outcomes, subscription → outcome. */
  outcomes(signal: string): Promise<ReadonlyMap<string, string>>;
  /** Sends signals until one is on the book for every follower. */
  reachAll(): Promise<Reached>;
  isFilled(redis: Redis, part: (typeof PARTS)[number]): Promise<boolean>;
  stop(): Promise<void>;
}

export type Sent =
  | { readonly kind: "accepted"; readonly id: string; readonly followers: number }
  | { readonly kind: "refused"; readonly code: string; readonly retryAfter: string | null };

export interface Reached {
  readonly refused: readonly string[];
  readonly accepted: readonly string[];
  readonly ms: number;
}

export async function startWorld(home: Store, region: Store): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), "fanfare-fill-"));
  const records = openSqliteRecords(folder);
  await records.channels.insert({
    _id: CHANNEL,
    name: "Demo",
    provider: PROVIDER,
    symbols: ["EUR/USD"],
    deadlineMs: 2e3,
    version: 1,
    grants: { [PROVIDER]: {} },
    outbox: true,
  });
  const followers = Array.from({ length: FOLLOWERS }, (_, index) =>
    followerOf(index, { broker: "fake" }),
  );
  await records.subscriptions.putNewer(
    followers.map(({ id, ...rest }) => ({ _id: id, ...rest, outbox: true })),
  );
  const broker = await startFakeBroker({
    deduplicates: "none",
    lookUp: "authoritative",
    validUntil: "enforced",
  });
  await broker.deposit(
    followers.map(({ account }) => account),
    100_000_000,
  );

  const issuer = await generateKeyPair("EdDSA", { extractable: true });
  const common = {
    FANFARE_PARTITIONS: String(PARTITIONS.count),
    FANFARE_REDIS_URL: home.url,
  };
  const regions = { FANFARE_REGION_REDIS_URLS: JSON.stringify({ local: region.url }) };
  const issuerKey = { FANFARE_ISSUER_KEY: JSON.stringify(await exportJWK(issuer.privateKey)) };
  const data = { FANFARE_DATA: folder };
  const consumer = { FANFARE_CONSUMER: "one" };
  const envs: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    records: { ...common, ...regions, ...data, ...issuerKey },
    dispatch: { ...common, ...regions, ...issuerKey, ...consumer },
    recorder: { ...common, ...regions, ...data, ...consumer },
    broker: {
      ...common,
      ...consumer,
      FANFARE_REDIS_URL: region.url,
      ...broker.env(),
      FANFARE_RECLAIM_IDLE_MS: "1000",
    },
  };
  const roles = new Map<string, RoleProcess>();
  async function start(
    role: string,
    name = role,
    changes: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const port = role === "records" ? { FANFARE_RECORDS_PORT: String(await freePort()) } : {};
    roles.set(name, await startRole(role, { ...envs[role], ...port, ...changes }));
  }
  for (const role of Object.keys(envs)) await start(role);

  const clients = { home: connectRedis(home.url), region: connectRedis(region.url) };
  const edge = home.url.startsWith("redis-cluster:")
    ? acceptAlone(clients.home)
    : await startEdge(home, region, issuer);
  const { send } = edge;
  const booked = (signal: string): string[] =>
    broker.book().flatMap(({ clientOrderId: id }) => (id.startsWith(`${signal}.`) ? [id] : []));

  return {
    ...clients,
    records,
    broker,
    roles,
    start,
    async control(...words) {
      const env = { ...common, ...regions, ...data };
      const { code, err } = await runCommand(
        ["workers/commands/main.ts", "control", ...words],
        env,
      );
      if (code !== 0) throw new Error(err);
    },
    send,
    booked,
    async outcomes(signal) {
      const orders = await records.orders.find({ where: { signal } });
      return new Map(orders.map(({ subscription, outcome }) => [subscription, outcome]));
    },
    async reachAll() {
      const startedMs = performance.now();
      const refused: string[] = [];
      const accepted: string[] = [];
      await until(
        "a signal is booked for every follower",
        async () => {
          const sent = await send();
          if (sent.kind === "refused") {
            refused.push(sent.code);
            return false;
          }
          accepted.push(sent.id);
          const lookUntilMs = performance.now() + 1e3;
          while (performance.now() < lookUntilMs && booked(sent.id).length < FOLLOWERS) {
            await Bun.sleep(20);
          }
          return booked(sent.id).length === FOLLOWERS;
        },
        6e4,
      );
      return {
        refused,
        accepted,
        ms: Math.round(performance.now() - startedMs),
      };
    },
    async isFilled(redis, part) {
      const marks = await Promise.all(
        PARTITIONS.all().map((each) => redis.send("HEXISTS", [formatKey(each), `${part}SinceMs`])),
      );
      return marks.every((mark) => mark === 1);
    },
    async stop() {
      await edge.stop();
      await Promise.all([...roles.values()].map((role) => role.kill()));
      for (const client of Object.values(clients)) client.close();
      await broker.stop();
      await records.close();
      await Promise.all([home.stop(), region.stop()]);
      rmSync(folder, {
        recursive: true,
        force: true,
      });
    },
  };
}

type Send = World["send"];
interface Sender {
  readonly send: Send;
  stop(): Promise<void>;
}

async function startEdge(
  home: Store,
  region: Store,
  issuer: { readonly privateKey: CryptoKey; readonly publicKey: CryptoKey },
): Promise<Sender> {
  const token = crypto.randomUUID();
  const bridges = [
    await startBridge({ redisUrl: home.url, token }),
    await startBridge({ redisUrl: region.url, token }),
  ] as const;
  const publicKey = { ...(await exportJWK(issuer.publicKey)), kid: "test", alg: "EdDSA" };
  const edge = await RUNTIMES.Bun({
    FANFARE_HOME_URL: bridges[0].url,
    FANFARE_HOME_TOKEN: token,
    FANFARE_REGIONS: JSON.stringify({ local: { url: bridges[1].url, token } }),
    FANFARE_PARTITIONS: String(PARTITIONS.count),
    FANFARE_ISSUER_KEYS: JSON.stringify({ keys: [publicKey] }),
    FANFARE_SEAL_KEY: Buffer.alloc(32, 7).toString("base64url"),
  });
  const bearer = await new SignJWT({
    iss: "fanfare",
    aud: "fanfare",
    sub: PROVIDER,
    scope: "signals:write signals:read",
    exp: Math.floor(Date.now() / 1e3) + 3600,
  })
    .setProtectedHeader({ alg: "EdDSA", kid: "test" })
    .sign(issuer.privateKey);

  async function send(signal: Readonly<Record<string, unknown>> = OPEN): Promise<Sent> {
    const response = await fetch(`${edge.url}/v1/signals`, {
      method: "POST",
      headers: { authorization: `Bearer ${bearer}`, "content-type": "application/json" },
      body: JSON.stringify({ channel: CHANNEL, symbol: "EUR/USD", ...signal }),
    });
    const answer = (await response.json()) as { id?: string; followers?: number; code?: string };
    const { id = "", followers = 0, code = "" } = answer;
    if (response.status === 202) return { kind: "accepted", id, followers };
    return { kind: "refused", code, retryAfter: response.headers.get("retry-after") };
  }
  return {
    send,
    async stop() {
      await edge.kill();
      await Promise.all(bridges.map((bridge) => bridge.stop()));
    },
  };
}

/**
 * Runs only the edge's script, for a cluster, which the bridge does not support.
 * The dispatcher makes the jobs.
 */
function acceptAlone(redis: Redis): Sender {
  return {
    async send() {
      const signal = { channel: CHANNEL, symbol: "EUR/USD", ...OPEN } as OpenSignal;
      const reply = await run(redis, accept, {
        id: signalIdIn(PARTITIONS.ofChannel(CHANNEL), crypto.randomUUID().replaceAll("-", "")),
        home: HOME,
        signal,
        sender: PROVIDER,
        idempotencyKey: crypto.randomUUID(),
        bodySha256: new Bun.CryptoHasher("sha256").update(canonicalBody(signal)).digest("hex"),
      });
      if (reply.kind === "refused") return { ...reply, retryAfter: null };
      const { id, followers } = reply.acceptance;
      return { kind: "accepted", id, followers };
    },
    stop: async () => undefined,
  };
}

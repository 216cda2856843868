/**
 * A small set-up: a Redis, the bridge, a channel with followers, two hooks, and the keys to sign
 * tokens with.
 */
import { createHash } from "node:crypto";
import { CompactEncrypt, exportJWK, generateKeyPair, SignJWT, type JWTPayload } from "jose";
import {
  asId,
  type AccountId,
  type ChannelId,
  type HookId,
  type PersonId,
  type SignalId,
  type SubscriptionId,
} from "../../domain/ids.ts";
import type { Subscription } from "../../domain/copier/subscription.ts";
import { startBridge } from "../../local/bridge.ts";
import type { Hook } from "../../domain/copier/hook.ts";
import { HomeKeys, hookKey, liveChannel, PartitionMap, RegionKeys } from "../../redis/keys.ts";
import { projectChannel } from "../../workers/copier/roster/channel.ts";
import { route } from "../../redis/route.ts";
import { seat } from "../../workers/copier/roster/seat.ts";
import { connectRedis } from "../../workers/runtime/redis-client.ts";
import { run, type Redis } from "../../workers/runtime/redis.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import type { Settings } from "./launch.ts";

export const PARTITIONS = new PartitionMap(4);
export const CHANNEL = asId<ChannelId>("demo");
const PROVIDER = asId<PersonId>("demo-provider");
const TRADER = asId<PersonId>("demo-trader");
const BROKER = "desk";
export const FOLLOWERS = 300;
export const URL_SECRET = "not-so-secret-in-a-test";
export const SIGNING_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

export interface World {
  readonly redis: TestRedis;
  readonly client: Redis;
  readonly settings: Settings;
  /** A valid token, except for the given changes. */
  token(claims?: JWTPayload): Promise<string>;
  foreignToken(): Promise<string>;
  /**
   * Acts as the workers: adds this many placed copies, and publishes a wake-up unless it must be
   * lost.
   */
  place(signal: string, count: number, how?: { readonly quietly: boolean }): Promise<void>;
  jobs(signal: string): Promise<Job[]>;
  stop(): Promise<void>;
}

export interface Job {
  readonly partition: number;
  readonly shard: string;
  readonly count: number;
}

export async function startWorld(): Promise<World> {
  const redis = await startRedis({ appendOnly: true });
  const bridgeToken = crypto.randomUUID();
  const bridge = await startBridge({ redisUrl: redis.url, token: bridgeToken });
  const client = connectRedis(redis.url);
  const issuer = await generateKeyPair("EdDSA", { extractable: true });
  const stranger = await generateKeyPair("EdDSA");
  const sealKey = crypto.getRandomValues(new Uint8Array(32));
  await seedChannel(client);
  await seedHooks(client, sealKey);

  async function sign(key: CryptoKey, claims: JWTPayload): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    return await new SignJWT({
      iss: "fanfare",
      aud: "fanfare",
      sub: PROVIDER,
      exp: now + 600,
      scope: "signals:write signals:read",
      ...claims,
    })
      .setProtectedHeader({ alg: "EdDSA", kid: "test" })
      .sign(key);
  }

  return {
    redis,
    client,
    settings: {
      FANFARE_HOME_URL: bridge.url,
      FANFARE_HOME_TOKEN: bridgeToken,
      FANFARE_REGIONS: JSON.stringify({ local: { url: bridge.url, token: bridgeToken } }),
      FANFARE_PARTITIONS: String(PARTITIONS.count),
      FANFARE_ISSUER_KEYS: JSON.stringify({
        keys: [{ ...(await exportJWK(issuer.publicKey)), kid: "test", alg: "EdDSA" }],
      }),
      FANFARE_SEAL_KEY: Buffer.from(sealKey).toString("base64url"),
    },
    token: async (claims = {}) => await sign(issuer.privateKey, claims),
    foreignToken: async () => await sign(stranger.privateKey, {}),
    async place(signal, count, { quietly } = { quietly: false }) {
      const key = new RegionKeys(0).progress(signal as SignalId);
      await client.send("HINCRBY", [key, "placed", String(count)]);
      await client.send("HSETNX", [key, "firstMs", "7"]);
      await client.send("HSET", [key, "lastMs", "9"]);
      if (!quietly) await client.send("PUBLISH", [liveChannel(signal as SignalId), ""]);
    },
    jobs: async (signal) =>
      (await Promise.all(PARTITIONS.all().map((each) => jobsIn(client, each, signal)))).flat(),
    async stop() {
      client.close();
      await bridge.stop();
      await redis.stop();
    },
  };
}

async function jobsIn(client: Redis, partition: number, signal: string): Promise<Job[]> {
  const key = new RegionKeys(partition).jobs(BROKER);
  const entries = (await client.send("XRANGE", [key, "-", "+"])) as [string, string[]][];
  return entries
    .map(([, flat]) => new Map(flat.map((name, index) => [name, flat[index + 1] ?? ""])))
    .filter((fields) => fields.get("signal")?.includes(signal))
    .map((fields) => ({
      partition,
      shard: fields.get("shard") ?? "",
      count: Number(fields.get("count")),
    }));
}

async function seedChannel(client: Redis): Promise<void> {
  const home = new HomeKeys(PARTITIONS.ofChannel(CHANNEL));
  await run(client, projectChannel, {
    home,
    channel: {
      id: CHANNEL,
      name: "Demo",
      provider: PROVIDER,
      symbols: ["EUR/USD", "GBP/USD", "R_100"],
      deadlineMs: 1_000,
      version: 1,
    },
    grants: { [PROVIDER]: {}, [TRADER]: { symbols: ["EUR/USD"], maxStakeCents: 1_000 } },
  });
  const followers = Array.from({ length: FOLLOWERS }, (_, index) => createFollower(index));
  for (const partition of PARTITIONS.all()) {
    const seated = await run(client, seat, {
      partition,
      broker: BROKER,
      channel: CHANNEL,
      subscriptions: followers.filter((each) => PARTITIONS.ofAccount(each.account) === partition),
    });
    const routes = seated.shards.map((each) => ({
      region: "local",
      broker: BROKER,
      partition,
      ...each,
    }));
    await run(client, route, { home, channel: CHANNEL, routes });
  }
}

function createFollower(index: number): Subscription {
  const number = String(index).padStart(4, "0");
  return {
    id: asId<SubscriptionId>(`demo-sub-${number}`),
    channel: CHANNEL,
    follower: asId<PersonId>(`demo-follower-${number}`),
    account: asId<AccountId>(`demo-acct-${number}`),
    broker: BROKER,
    region: "local",
    state: "active",
    expiresAtMs: Date.now() + 3_600_000,
    plan: { sizing: { kind: "fixed", stakeCents: 100 } },
    version: 1,
  };
}

async function seedHooks(client: Redis, sealKey: Uint8Array): Promise<void> {
  const of = { channel: CHANNEL, sender: PROVIDER };
  const hooks: Hook[] = [
    {
      ...of,
      id: asId<HookId>("tv"),
      kind: "tradingview",
      secretSha256: createHash("sha256").update(URL_SECRET).digest("hex"),
    },
    {
      ...of,
      id: asId<HookId>("std"),
      kind: "standard",
      sealedSecret: await new CompactEncrypt(new TextEncoder().encode(SIGNING_SECRET))
        .setProtectedHeader({ alg: "dir", enc: "A256GCM" })
        .encrypt(sealKey),
    },
  ];
  for (const hook of hooks)
    await client.send("SET", [hookKey(hook.id, PARTITIONS), JSON.stringify(hook)]);
}

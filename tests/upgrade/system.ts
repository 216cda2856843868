/**
 * All of Fanfare as real processes, each started and stopped separately, to create a dump and to
 * continue from one.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { importJWK, SignJWT, type JWK } from "jose";
import { startBridge } from "../../local/bridge.ts";
import { RUNTIMES, type RunningEdge } from "../runtime/launch.ts";
import type { TestMongo } from "../support/mongo.ts";
import { freePort } from "../support/ports.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { startRole, type RoleProcess } from "../support/role.ts";

/** The secrets of a system, which must be given again later. They are only for tests. */
export interface Secrets {
  readonly issuerKey: JWK;
  readonly sealKey: string;
  readonly deskToken: string;
  readonly hookSecret: string;
  readonly password: string;
}

/** How long the desk's pending orders are valid: longer than any dump is kept. */
const PENDING_MS = "900000000000";

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface System {
  readonly redis: TestRedis;
  readonly mongo: TestMongo | undefined;
  readonly data: string;
  /** The settings of every process of the workers. */
  readonly env: Readonly<Record<string, string>>;
  /** Starts a role, with another name than its own if there are several. */
  start(role: string, more?: Readonly<Record<string, string>>): Promise<RoleProcess>;
  /** Runs a command of the workers to its end. */
  command(words: readonly string[], more?: Readonly<Record<string, string>>): Promise<Ended>;
  /** Starts an edge; without regions it accepts and cannot dispatch. */
  edge(how?: {
    readonly reachesRegion?: boolean;
    readonly partitions?: number;
  }): Promise<RunningEdge>;
  /** Ends every process but the stores. */
  rest(): Promise<void>;
  /** `SYM` → price; other prices vary. */
  fixPrices(prices: Readonly<Record<string, string>>): void;
  token(person: string, scope: string): Promise<string>;
  /** Sends a request to an edge, as a person with all permissions of the demo's people. */
  ask(
    edge: RunningEdge,
    person: string,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answer>;
  stop(): Promise<void>;
}

const SCOPES = "signals:write signals:read records:read records:write desk:trade";

/** Its records are in SQLite if no MongoDB is given. Only the stores run yet. */
export async function openSystem(secrets: Secrets, mongo: TestMongo | undefined): Promise<System> {
  const redis = await startRedis({ appendOnly: true });
  const data = mkdtempSync(join(tmpdir(), "fanfare-upgrade-"));
  const bridgeToken = crypto.randomUUID();
  let bridge: Awaited<ReturnType<typeof startBridge>> | undefined;
  const [asked, streaming, quotes, desk, records, nowhere] = await Promise.all(
    Array.from({ length: 6 }, freePort),
  );
  const prices = join(data, "prices");
  writeFileSync(prices, "");
  const env: Record<string, string> = {
    FANFARE_REDIS_URL: redis.url,
    FANFARE_PARTITIONS: "4",
    FANFARE_DATA: data,
    FANFARE_CONSUMER: "worker",
    FANFARE_ISSUER_KEY: JSON.stringify(secrets.issuerKey),
    FANFARE_SEAL_KEY: secrets.sealKey,
    FANFARE_DESK_URL: `http://127.0.0.1:${desk}`,
    FANFARE_DESK_TOKEN: secrets.deskToken,
    FANFARE_DESK_PORT: String(desk),
    FANFARE_DESK_PENDING_MS: PENDING_MS,
    FANFARE_RECORDS_PORT: String(records),
    FANFARE_SIMULATOR_ASKED_PORT: String(asked),
    FANFARE_SIMULATOR_STREAMING_PORT: String(streaming),
    FANFARE_SIMULATOR_PRICES: prices,
    FANFARE_QUOTES_ASKED: `tcp://127.0.0.1:${asked}`,
    FANFARE_QUOTES_STREAMING: `tcp://127.0.0.1:${streaming}`,
    FANFARE_QUOTES_PORT: String(quotes),
    FANFARE_QUOTES_SYMBOLS: "EUR/USD,GBP/USD",
    ...(mongo ? { MONGODB_URI: mongo.uri } : {}),
  };
  const { d: _, ...publicKey } = secrets.issuerKey;
  const signer = await importJWK(secrets.issuerKey, "EdDSA");
  const roles: RoleProcess[] = [];
  const edges: RunningEdge[] = [];

  const token: System["token"] = async (person, scope) =>
    await new SignJWT({ scope })
      .setProtectedHeader({ alg: "EdDSA", kid: secrets.issuerKey.kid ?? "" })
      .setIssuer("fanfare")
      .setAudience("fanfare")
      .setSubject(person)
      .setIssuedAt()
      .setExpirationTime("1h")
      .sign(signer);

  return {
    redis,
    mongo,
    data,
    env,
    token,
    async start(role, more = {}) {
      const started = await startRole(role, { ...env, ...more });
      roles.push(started);
      return started;
    },
    async command(words, more = {}) {
      const child = Bun.spawn([process.execPath, ...words], {
        env: { ...process.env, ...env, ...more },
        stdout: "pipe",
        stderr: "pipe",
      });
      const [out, err] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
      ]);
      return { code: await child.exited, out, err };
    },
    async edge({ reachesRegion = true, partitions = 4 } = {}) {
      bridge ??= await startBridge({ redisUrl: redis.url, token: bridgeToken });
      const region = reachesRegion ? bridge.url : `http://127.0.0.1:${nowhere}`;
      const edge = await RUNTIMES.Bun({
        FANFARE_HOME_URL: bridge.url,
        FANFARE_HOME_TOKEN: bridgeToken,
        FANFARE_REGIONS: JSON.stringify({ local: { url: region, token: bridgeToken } }),
        FANFARE_PARTITIONS: String(partitions),
        FANFARE_ISSUER_KEYS: JSON.stringify({ keys: [publicKey] }),
        FANFARE_SEAL_KEY: secrets.sealKey,
        FANFARE_RECORDS_URL: `http://127.0.0.1:${records}`,
        FANFARE_DESK_URLS: `http://127.0.0.1:${desk}`,
        FANFARE_DESK_TOKEN: secrets.deskToken,
      });
      edges.push(edge);
      return edge;
    },
    fixPrices(fixed) {
      const lines = Object.entries(fixed).map(([symbol, price]) => `${symbol},${price}\n`);
      writeFileSync(prices, lines.join(""));
    },
    async ask(edge, person, path, body, headers = {}) {
      const [method, where = ""] = path.split(" ");
      const response = await fetch(`${edge.url}${where}`, {
        method: method ?? "GET",
        headers: {
          authorization: `Bearer ${await token(person, SCOPES)}`,
          "content-type": "application/json",
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, body: (await response.json()) as Answer["body"] };
    },
    async rest() {
      const processes = [...edges.splice(0), ...roles.splice(0)];
      await Promise.all(processes.map((each) => each.stop()));
      await bridge?.stop();
      bridge = undefined;
    },
    async stop() {
      await Promise.all([...edges.map((edge) => edge.kill()), ...roles.map((role) => role.kill())]);
      await bridge?.stop();
      await redis.stop();
      rmSync(data, { recursive: true, force: true });
    },
  };
}

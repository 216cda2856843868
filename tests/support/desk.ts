/** A running desk: Redis, simulated quotes, desk server and settler, each in its own process. */
import { connectDesk } from "../../workers/copier/brokers/desk/desk.ts";
import type { Broker } from "../../workers/copier/brokers/port.ts";
import { startLink, type CuttableLink } from "./cut.ts";
import { freePort } from "./ports.ts";
import { startRedis, type TestRedis } from "./redis.ts";
import { startRole, type RoleProcess } from "./role.ts";

export interface TestDesk extends DeskProcesses {
  readonly redis: TestRedis;
}

export interface DeskProcesses {
  readonly redisUrl: string;
  readonly url: string;
  readonly token: string;
  /** The settings of every role that works with this desk. */
  readonly env: Readonly<Record<string, string>>;
  readonly broker: Broker;
  deposit(accounts: readonly string[], amountCents: number): Promise<void>;
  balanceOf(account: string): Promise<number>;
  stop(): Promise<void>;
}

/**
 * Starts it with a new Redis. A Redis that will be killed keeps everything that it acknowledged
 * only under `always`.
 */
export async function startDesk(durability: "everysec" | "always" = "everysec"): Promise<TestDesk> {
  const redis = await startRedis({ appendOnly: true, durability });
  const desk = await startDeskOn(redis.url);
  return {
    ...desk,
    redis,
    async stop() {
      await desk.stop();
      await redis.stop();
    },
  };
}

export interface CuttableDesk extends TestDesk {
  readonly link: CuttableLink;
}

/** The same; roles that are started with its `env` connect through a link that can be cut. */
export async function startCuttableDesk(
  durability: "everysec" | "always" = "everysec",
): Promise<CuttableDesk> {
  const desk = await startDesk(durability);
  const link = await startLink(Number(new URL(desk.url).port));
  return {
    ...desk,
    env: { ...desk.env, FANFARE_DESK_URL: `http://127.0.0.1:${link.port}` },
    link,
    async stop() {
      await link.stop();
      await desk.stop();
    },
  };
}

/** Starts it on an existing Redis or cluster. */
export async function startDeskOn(redisUrl: string): Promise<DeskProcesses> {
  const [asked, streaming, quotes, desk] = await Promise.all([
    freePort(),
    freePort(),
    freePort(),
    freePort(),
  ]);
  const token = crypto.randomUUID();
  const url = `http://127.0.0.1:${desk}`;
  const env = {
    FANFARE_REDIS_URL: redisUrl,
    FANFARE_PARTITIONS: "4",
    FANFARE_DESK_URL: url,
    FANFARE_DESK_TOKEN: token,
    FANFARE_DESK_PORT: String(desk),
    FANFARE_SIMULATOR_ASKED_PORT: String(asked),
    FANFARE_SIMULATOR_STREAMING_PORT: String(streaming),
    FANFARE_QUOTES_ASKED: `tcp://127.0.0.1:${asked}`,
    FANFARE_QUOTES_STREAMING: `tcp://127.0.0.1:${streaming}`,
    FANFARE_QUOTES_PORT: String(quotes),
  };
  const roles: RoleProcess[] = [];
  for (const name of ["simulator", "quotes", "desk", "settle"]) {
    roles.push(await startRole(name, env));
  }

  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  return {
    redisUrl,
    url,
    token,
    env,
    broker: connectDesk(url, token),
    async deposit(accounts, amountCents) {
      for (let start = 0; start < accounts.length; start += 500) {
        const deposits = accounts
          .slice(start, start + 500)
          .map((account) => ({ id: crypto.randomUUID(), account, amountCents }));
        const body = JSON.stringify({ deposits });
        const reply = await fetch(`${url}/v1/deposits`, { method: "POST", headers, body });
        if (reply.status !== 200) throw new Error(`deposit answered ${reply.status}`);
      }
    },
    async balanceOf(account) {
      const reply = await fetch(`${url}/v1/accounts/${account}`, { headers });
      return ((await reply.json()) as { balanceCents: number }).balanceCents;
    },
    async stop() {
      await Promise.all(roles.map((role) => role.stop()));
    },
  };
}

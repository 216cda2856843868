/**
 * `bun tests/upgrade/dump.ts <release>`: starts a whole system, trades in it, stops it in the
 * middle of its work, and stores its data in `tests/upgrade/<release>/`, once for each driver of
 * the records. Run it at a release; later code is tested with these data (`upgrade.test.ts`).
 */
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exportJWK, generateKeyPair } from "jose";
import {
  asId,
  type AccountId,
  type ChannelId,
  type PersonId,
  type SignalId,
  type SubscriptionId,
} from "../../domain/ids.ts";
import type { CopyPlan } from "../../domain/copier/plan.ts";
import type { OpenSignal } from "../../domain/copier/signal.ts";
import { RegionKeys } from "../../redis/keys.ts";
import { connectRedis } from "../../workers/runtime/redis-client.ts";
import { openRecords } from "../../workers/records/open.ts";
import { hashPassword } from "../../workers/api/sign-in.ts";
import { seedHooks } from "../../workers/commands/seed/hooks.ts";
import type { RunningEdge } from "../runtime/launch.ts";
import { startMongo } from "../support/mongo.ts";
import { sendLines } from "../support/trading-desk.ts";
import { until } from "../support/wait.ts";
import {
  CHANGED_FOLLOWER,
  CHANGED_STAKE_CENTS,
  CHANNEL,
  DRAINED_CHANNEL,
  FOLLOWERS,
  HALTED_CHANNEL,
  KEY_HEADER,
  LONG_SECONDS,
  PROVIDER,
  SIGNAL,
  TRADER,
  type Facts,
} from "./facts.ts";
import { openSystem, type Secrets, type System } from "./system.ts";
import { DRIVERS, saveMongo, saveRedis, saveSqlite, type Driver } from "./stored.ts";

/** The time after a contract's end for a late settlement quote and different clocks. */
const SLACK_MS = 130_000;
const DEADLINE_MS = 4_000;
const TEN_YEARS_MS = 10 * 365 * 24 * 60 * 60 * 1000;
const PATIENCE_MS = 60_000;

/** One of each kind; the last two were stopped. */
const PLANS: readonly CopyPlan[] = [
  { sizing: { kind: "fixed", stakeCents: 111 } },
  { sizing: { kind: "fixed", stakeCents: 222 }, maxOpen: 100, maxDayStakeCents: 1_000_000 },
  { sizing: { kind: "multiplier", multiplierBp: 5_000 }, reverse: true },
  { sizing: { kind: "balance", shareBp: 10 }, maxDayLossCents: 1_000_000 },
  { sizing: { kind: "fixed", stakeCents: 500 }, symbols: ["GBP/USD"] },
  { sizing: { kind: "fixed", stakeCents: 90_000_000 } },
  { sizing: { kind: "fixed", stakeCents: 555 } },
  { sizing: { kind: "fixed", stakeCents: 666 } },
  { sizing: { kind: "fixed", stakeCents: 777 } },
];
const STATES = ["active", "active", "active", "active", "active", "active", "paused"] as const;
const HALTED_FOLLOWER = "demo-follower-0008";

async function dump(driver: Driver, folder: string): Promise<void> {
  const secrets = await makeSecrets();
  const mongo = driver === "mongo" ? await startMongo() : undefined;
  if (driver === "mongo" && !mongo) throw new Error("no MongoDB on this machine");
  const system = await openSystem(secrets, mongo);
  try {
    const facts = await trade(system, secrets);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    await saveRedis(system.redis.url, folder);
    if (mongo) await saveMongo(mongo.uri, folder);
    else saveSqlite(system.data, folder);
    writeFileSync(join(folder, "facts.json"), `${JSON.stringify(facts, null, 1)}\n`);
  } finally {
    await system.stop();
    await mongo?.stop();
  }
  const bytes = readdirSync(folder).map((name) => statSync(join(folder, name)).size);
  console.log(`${folder}: ${bytes.reduce((sum, each) => sum + each, 0)} bytes`);
}

async function makeSecrets(): Promise<Secrets> {
  const { privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const text = (bytes: number): string =>
    Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString("base64url");
  return {
    issuerKey: { ...(await exportJWK(privateKey)), alg: "EdDSA", use: "sig", kid: "upgrade" },
    sealKey: text(32),
    deskToken: text(24),
    hookSecret: text(24),
    password: text(12),
  };
}

async function trade(system: System, secrets: Secrets): Promise<Facts> {
  const client = connectRedis(system.redis.url);
  system.fixPrices({ ABC: "5.00", XYZ: "20.00" });
  await system.start("simulator");
  const quotes = await system.start("quotes");
  let desk = await system.start("desk");
  const settle = await system.start("settle");
  await seed(system, secrets);
  let records = await system.start("records");
  const recorder = await system.start("recorder");
  const audit = await system.start("audit");
  const dispatch = await system.start("dispatch");
  let broker = await system.start("broker");
  const edge = await system.edge();

  for (const words of [
    ["settings", "platform", '{"plan":{"maxStakeCents":100000000},"paused":false}'],
    ["settings", `channel:${CHANNEL}`, '{"plan":{"maxAgeMs":60000},"paused":false}'],
    ["settings", "follower:demo-follower-0003", '{"plan":{"maxStakeCents":90000},"paused":false}'],
    ["control", "halt", `channel:${HALTED_CHANNEL}`],
    ["control", "halt", `follower:${HALTED_FOLLOWER}`],
    ["control", "drain", `channel:${DRAINED_CHANNEL}`],
  ]) {
    const { code, err } = await system.command(["workers/commands/main.ts", ...words]);
    if (code !== 0) throw new Error(`${words.join(" ")} ended with ${code}: ${err}`);
  }

  // Done, settled, closed, recorded, linked.
  const settled = await send(system, edge, { durationSeconds: 1 });
  await complete(system, edge, settled);
  const closed = await send(system, edge, { durationSeconds: LONG_SECONDS });
  await complete(system, edge, closed);
  const close = await sendClose(system, edge, closed);
  await complete(system, edge, close);
  await until(
    "it is settled, and recorded",
    async () => {
      const answer = await system.ask(edge, PROVIDER, `GET /v1/signals/${settled}/results`);
      const { open, won, lost } = (answer.body["results"] ?? {}) as Record<string, number>;
      const list = await system.ask(edge, PROVIDER, `GET /v1/signals/${close}/results`);
      const { closed: sold } = (list.body["results"] ?? {}) as Record<string, number>;
      return open === 0 && (won ?? 0) + (lost ?? 0) > 0 && (sold ?? 0) > 0;
    },
    PATIENCE_MS,
  );
  // A dead letter: an unreadable entry.
  const { events } = new RegionKeys(0);
  await client.send("XADD", [events, "*", "event", "what is this"]);
  await until("it is among the dead letters", async () => {
    return Number(await client.send("XLEN", [`${events}:dead`])) === 1;
  });
  await tradeAtDesk(system);
  await until("the log is linked and recorded, the audit is drained", async () => {
    const pending = await system.command(["workers/commands/main.ts", "desk:prove"]);
    return pending.code === 0;
  });
  await Bun.sleep(500);
  await Promise.all([recorder.stop(), audit.stop()]);

  // From here on nothing is recorded.
  const unrecorded = await send(system, edge, { durationSeconds: LONG_SECONDS }, KEY_HEADER);
  await complete(system, edge, unrecorded);
  const repeated = await tradeMore(system);
  await broker.stop();

  broker = await system.start("broker", { FANFARE_CRASH_AT: "after:intend:1:kill" });
  const intended = await send(system, edge, { durationSeconds: LONG_SECONDS });
  await broker.exited;
  broker = await system.start("broker", {
    FANFARE_CONSUMER: "second",
    FANFARE_CRASH_AT: "after-answer:1:kill",
  });
  const sent = await send(system, edge, { durationSeconds: LONG_SECONDS });
  await broker.exited;

  // Orders that the desk took and never answered.
  broker = await system.start("broker", { FANFARE_CONSUMER: "third" });
  desk.halt();
  const unknown = await send(system, edge, { durationSeconds: LONG_SECONDS });
  await until(
    "its outcome is unknown",
    async () => {
      const { body } = await system.ask(edge, PROVIDER, `GET /v1/signals/${unknown}`);
      return (body["counts"] as { unknown: number }).unknown > 0 && body["status"] === "complete";
    },
    PATIENCE_MS,
  );
  await broker.kill();
  await desk.kill();
  desk = await system.start("desk");

  const enqueued = await send(system, edge, { durationSeconds: LONG_SECONDS });
  const enqueuedClose = await sendClose(system, edge, unrecorded);
  const progress = Object.fromEntries(
    await Promise.all(
      [settled, closed, close, unrecorded].map(
        async (id) =>
          [id, (await system.ask(edge, PROVIDER, `GET /v1/signals/${id}`)).body] as const,
      ),
    ),
  );
  const [summary] = await sendLines(deskOf(system), secrets.deskToken, [
    `DISPLAY_SUMMARY,${TRADER}`,
  ]);
  const balances = await readBalances(system);
  // Recorded, and the records API dies before it is projected to Redis.
  await records.stop();
  records = await system.start("records", { FANFARE_CRASH_AT: "before:seat:1:kill" });
  await system
    .ask(edge, CHANGED_FOLLOWER, "PATCH /v1/subscriptions/demo-sub-0001", {
      plan: { sizing: { kind: "fixed", stakeCents: CHANGED_STAKE_CENTS } },
    })
    .catch(() => undefined);
  await records.exited;
  await edge.stop();
  await dispatch.stop();
  const cutOff = await system.edge({ reachesRegion: false });
  const undispatched = await send(system, cutOff, { durationSeconds: LONG_SECONDS });
  const expiredFromMs = Date.now() + DEADLINE_MS + LONG_SECONDS * 1_000 + SLACK_MS;
  await cutOff.stop();
  await Promise.all([desk.stop(), settle.stop(), quotes.stop()]);
  client.close();
  return {
    expiredFromMs,
    secrets,
    signals: {
      settled,
      closed,
      close,
      unrecorded,
      intended,
      sent,
      unknown,
      enqueued,
      undispatched,
      enqueuedClose,
    },
    progress,
    summary: summary ?? {},
    balances,
    repeated,
  };
}

const number = (n: number): string => String(n + 1).padStart(4, "0");
const deskOf = ({ env }: System) => ({ url: env["FANFARE_DESK_URL"] ?? "" });

/** The demo, with a follower of each kind, and two channels beside it. */
async function seed(system: System, { sealKey, deskToken, hookSecret, password }: Secrets) {
  const accounts = Array.from({ length: FOLLOWERS }, (_, n) =>
    asId<AccountId>(`demo-acct-${number(n)}`),
  );
  const deposits = accounts.map((account) => ({
    id: `${account}-first`,
    account,
    amountCents: 1_000_000,
  }));
  const headers = { authorization: `Bearer ${deskToken}`, "content-type": "application/json" };
  const body = JSON.stringify({ deposits });
  const { url } = deskOf(system);
  const reply = await fetch(`${url}/v1/deposits`, { method: "POST", headers, body });
  if (reply.status !== 200) throw new Error(`the deposits answered ${reply.status}`);

  const records = await openRecords({
    FANFARE_DATA: system.data,
    MONGODB_URI: system.mongo?.uri,
  });
  await records.people.merge([
    {
      _id: PROVIDER,
      name: "Demo provider",
      email: "demo@fanfare.local",
      passwordHash: await hashPassword(password),
    },
    { _id: TRADER, name: "Demo day trader", email: "trader@fanfare.local" },
    ...accounts.map((_, n) => ({ _id: `demo-follower-${number(n)}`, name: `Follower ${n + 1}` })),
  ]);
  await records.channels.putNewer(
    [CHANNEL, HALTED_CHANNEL, DRAINED_CHANNEL].map((_id) => ({
      _id,
      name: _id,
      provider: asId<PersonId>(PROVIDER),
      deadlineMs: DEADLINE_MS,
      symbols: ["EUR/USD", "GBP/USD"],
      grants: { [PROVIDER]: {}, [TRADER]: { symbols: ["EUR/USD"], maxStakeCents: 1_000 } },
      version: 1,
      outbox: true,
    })),
  );
  await records.accounts.merge(
    accounts.map((account, n) => ({
      _id: account,
      person: asId<PersonId>(`demo-follower-${number(n)}`),
      broker: "desk",
      region: "local",
    })),
  );
  await records.subscriptions.putNewer(
    accounts.map((account, n) => ({
      _id: asId<SubscriptionId>(`demo-sub-${number(n)}`),
      channel: asId<ChannelId>(CHANNEL),
      follower: asId<PersonId>(`demo-follower-${number(n)}`),
      account,
      broker: "desk",
      region: "local",
      state: n === FOLLOWERS - 1 ? ("left" as const) : (STATES[n] ?? ("active" as const)),
      expiresAtMs: Date.now() + TEN_YEARS_MS,
      plan: PLANS[n] ?? {},
      version: 1,
      outbox: true,
    })),
  );
  const aim = { channel: asId<ChannelId>(CHANNEL), sender: asId<PersonId>(PROVIDER) };
  await seedHooks(records, aim, hookSecret, sealKey);
  await records.close();
}

async function send(
  system: System,
  edge: RunningEdge,
  changes: Pick<OpenSignal, "durationSeconds">,
  headers: Readonly<Record<string, string>> = {},
): Promise<SignalId> {
  const signal = { ...SIGNAL, ...changes };
  const { status, body } = await system.ask(edge, PROVIDER, "POST /v1/signals", signal, headers);
  if (status !== 202) throw new Error(`a signal was answered ${status} ${JSON.stringify(body)}`);
  return body["id"] as SignalId;
}

async function sendClose(system: System, edge: RunningEdge, signal: SignalId): Promise<SignalId> {
  const { status, body } = await system.ask(edge, PROVIDER, "POST /v1/signals", {
    channel: CHANNEL,
    action: "close",
    signal,
  });
  if (status !== 202) throw new Error(`a close was answered ${status} ${JSON.stringify(body)}`);
  return body["id"] as SignalId;
}

async function complete(system: System, edge: RunningEdge, id: SignalId): Promise<void> {
  await until(
    "the fan-out is complete",
    async () => {
      const { body } = await system.ask(edge, PROVIDER, `GET /v1/signals/${id}`);
      return body["status"] === "complete";
    },
    PATIENCE_MS,
  );
}

async function readBalances(system: System): Promise<Facts["balances"]> {
  const headers = { authorization: `Bearer ${system.env["FANFARE_DESK_TOKEN"]}` };
  const balances: Record<string, number> = {};
  for (let n = 0; n < FOLLOWERS; n += 1) {
    const account = `demo-acct-${number(n)}`;
    const reply = await fetch(`${deskOf(system).url}/v1/accounts/${account}`, { headers });
    balances[account] = ((await reply.json()) as { balanceCents: number }).balanceCents;
  }
  return balances;
}

/** Holdings, pending orders and waiting triggers, by lines of a session. */
async function tradeAtDesk(system: System): Promise<void> {
  const lines = [
    `[1] ADD,${TRADER},10000.00`,
    `[2] BUY,${TRADER},ABC,500.00`,
    `[3] COMMIT_BUY,${TRADER}`,
    `[4] BUY,${TRADER},XYZ,100.00`,
    `[5] SELL,${TRADER},ABC,50.00`,
    `[6] SET_BUY_AMOUNT,${TRADER},ABC,100.00`,
    `[7] SET_BUY_TRIGGER,${TRADER},ABC,4.00`,
    `[8] SET_SELL_AMOUNT,${TRADER},ABC,120.00`,
    `[9] SET_SELL_TRIGGER,${TRADER},ABC,6.00`,
    "[10] ADD,other,1.00",
  ];
  await lineByLine(system, lines);
}

/** Commands that are in no audit store yet. The last one is sent again after the upgrade. */
async function tradeMore(system: System): Promise<Facts["repeated"]> {
  const lines = [`[11] SET_BUY_AMOUNT,${TRADER},XYZ,60.00`, `[12] ADD,${TRADER},12.34`];
  const reply = await lineByLine(system, lines);
  return { line: lines.at(-1) ?? "", reply };
}

async function lineByLine(system: System, lines: readonly string[]): Promise<object> {
  let last: object = {};
  for (const line of lines) {
    const token = system.env["FANFARE_DESK_TOKEN"] ?? "";
    const [reply] = await sendLines(deskOf(system), token, [line], "upgrade");
    if (reply?.ok !== true) throw new Error(`${line} was answered ${JSON.stringify(reply)}`);
    last = reply;
  }
  return last;
}

const release = process.argv[2];
if (release === undefined || !/^[\w.-]+$/.test(release)) {
  console.error("usage: bun tests/upgrade/dump.ts <release>");
  process.exit(2);
}
for (const driver of DRIVERS) await dump(driver, join(import.meta.dir, release, driver));
process.exit(0);

/** Settings above a subscription: recorded, projected and applied by a real worker. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { PlanLayer } from "../../../domain/copier/plan-layer.ts";
import type { SettingsScope } from "../../../domain/copier/setting.ts";
import type { OpenSignal } from "../../../domain/copier/signal.ts";
import { setLayer } from "../stored/layers.ts";
import {
  CHANNEL,
  followerOf,
  PARTITIONS,
  PROVIDER,
  readBooks,
  readOutcomes,
  startCopier,
  type Copier,
} from "../../../tests/support/copier.ts";
import { startDesk, type TestDesk } from "../../../tests/support/desk.ts";
import { startRole, type RoleProcess } from "../../../tests/support/role.ts";
import { type OpenConnections, openConnections } from "../../runtime/connections.ts";
import type { Records, SubscriptionRecord } from "../../records/port.ts";
import { openSqliteRecords } from "../../records/sqlite/open.ts";
import { run } from "../../runtime/redis.ts";
import { checkRoster } from "../roster/check.ts";
import { flushOutbox, projectSettingsNow } from "../roster/outbox.ts";
import { type Targets, targetsOf } from "../roster/projector.ts";
import { recordSettings } from "../roster/settings.ts";

setDefaultTimeout(30_000);

const FOLLOWERS = 12;
const folder = mkdtempSync(join(tmpdir(), "fanfare-layers-"));

let desk: TestDesk;
let copier: Copier;
let worker: RoleProcess;
let records: Records;
let connections: OpenConnections;
let targets: Targets;

beforeAll(async () => {
  desk = await startDesk();
  copier = await startCopier(desk, 0);
  connections = await openConnections({
    FANFARE_REDIS_URL: desk.redisUrl,
    FANFARE_PARTITIONS: 4,
    FANFARE_REGION: "local",
  });
  targets = targetsOf(connections);
  records = openSqliteRecords(folder);
  const all = Array.from({ length: FOLLOWERS }, (_, index) => recordOf(index));
  await desk.deposit(
    all.map(({ account }) => account),
    1_000_000,
  );
  await records.subscriptions.putNewer(all);
  await flushOutbox(records, targets);
  worker = await startRole("broker", desk.env);
}, 30_000);
afterAll(async () => {
  await worker.stop();
  copier.stop();
  connections.close();
  await records.close();
  await desk.stop();
  rmSync(folder, { recursive: true, force: true });
});

function recordOf(index: number, plan: PlanLayer = sized(100)): SubscriptionRecord {
  const { id, ...rest } = followerOf(index, { plan });
  return { _id: id, ...rest, outbox: true };
}

function sized(stakeCents: number): PlanLayer {
  return { sizing: { kind: "fixed", stakeCents } };
}

async function set(scope: SettingsScope, plan: PlanLayer, paused = false): Promise<void> {
  const changed = await recordSettings(records, scope, { plan, paused });
  if (!changed.ok) throw new Error(changed.code);
  await projectSettingsNow(records, targets, changed.value);
}

const clear = (scope: SettingsScope) => set(scope, {});

/** The result of the next signal: outcome → how many. */
async function next(changes: Partial<OpenSignal> = {}): Promise<Record<string, number>> {
  const { outcomes } = await sent(changes);
  const counts: Record<string, number> = {};
  for (const [kind = "none"] of outcomes.values()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

async function sent(changes: Partial<OpenSignal> = {}) {
  const id = await copier.send({ durationSeconds: 3_600, ...changes });
  await copier.complete(id);
  const outcomes = await readOutcomes(copier.redis, id);
  return { outcomes, books: await readBooks(copier.redis, id) };
}

test.each([
  ["platform", "PLATFORM_PAUSED"],
  [`provider:${PROVIDER}`, "PROVIDER_PAUSED"],
  [`channel:${CHANNEL}`, "CHANNEL_PAUSED"],
] as const)(
  "a pause of %s applies to the very next signal, and so does its end",
  async (scope, reason) => {
    expect(await next()).toEqual({ placed: FOLLOWERS });
    await set(scope, {}, true);
    expect(await next()).toEqual({ [`skipped: ${reason}`]: FOLLOWERS });
    await clear(scope);
    expect(await next()).toEqual({ placed: FOLLOWERS });
  },
);

test("a follower's pause applies to the very next signal, in all of their subscriptions and no others", async () => {
  await records.subscriptions.putNewer([
    { ...recordOf(0), _id: "sub-second", account: recordOf(1).account },
  ]);
  await flushOutbox(records, targets);
  const { follower } = recordOf(0);
  await set(`follower:${follower}`, {}, true);
  const { outcomes } = await sent();
  expect(outcomes.get("sub-0000")).toEqual(["skipped: FOLLOWER_PAUSED"]);
  expect(outcomes.get("sub-second")).toEqual(["skipped: FOLLOWER_PAUSED"]);
  expect(outcomes.get("sub-0001")).toEqual(["placed"]);
  await clear(`follower:${follower}`);
  expect(await next()).toEqual({ placed: FOLLOWERS + 1 });
  const second = (await records.subscriptions.get("sub-second"))!;
  await records.subscriptions.putNewer([
    { ...second, state: "left", version: second.version + 1, outbox: true },
  ]);
  await flushOutbox(records, targets);
});

test("a change takes effect while signals are in progress, and none is sent twice or lost", async () => {
  const ids = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      if (index === 10) await set(`channel:${CHANNEL}`, {}, true);
      return await copier.send({ durationSeconds: 3_600 });
    }),
  );
  for (const id of ids) {
    await copier.complete(id);
    const { contracts } = await readBooks(copier.redis, id);
    const { counts } = await copier.progress(id);
    expect(contracts.size).toBe(counts.placed);
    expect(counts.placed + counts.skipped).toBe(FOLLOWERS);
  }
  expect(await next()).toEqual({ "skipped: CHANNEL_PAUSED": FOLLOWERS });
  await clear(`channel:${CHANNEL}`);
});

test("every scope's plan applies: limits add up, and a lower scope overrides the others", async () => {
  await set("platform", { maxStakeCents: 80 });
  await set(`provider:${PROVIDER}`, { reverse: true });
  await set(`channel:${CHANNEL}`, { maxStakeCents: 90, deniedSymbols: ["GBP/USD"] });
  await set(`follower:${recordOf(0).follower}`, { maxStakeCents: 70 });
  await set(`follower:${recordOf(1).follower}`, {
    maxStakeCents: 95,
    overriding: ["maxStakeCents"],
  });
  await set(`follower:${recordOf(2).follower}`, {
    ...sized(60),
    overriding: ["deniedSymbols"],
  });
  const { books } = await sent();
  // Nine have the platform's 80, one has 70, one overrides to 95. The subscription's own size
  // overrides its follower's 60.
  expect(books.atStakeCents).toBe(80 * 10 + 70 + 95);
  expect(await next({ symbol: "GBP/USD" })).toEqual({
    "skipped: SYMBOL_DENIED": FOLLOWERS - 1,
    placed: 1,
  });
  for (const scope of ["platform", `provider:${PROVIDER}`, `channel:${CHANNEL}`] as const) {
    await clear(scope);
  }
  for (const index of [0, 1, 2]) await clear(`follower:${recordOf(index).follower}`);
});

test("caps that only a channel sets are counted for each follower", async () => {
  await set(`channel:${CHANNEL}`, { maxDayStakeCents: 150 });
  expect(await next()).toEqual({ placed: FOLLOWERS });
  expect(await next()).toEqual({ "skipped: DAY_CAP": FOLLOWERS });
  await clear(`channel:${CHANNEL}`);
});

test("settings that were restored apply, also if Redis had newer ones, and so do changes after them", async () => {
  const scope = `channel:${CHANNEL}` as const;
  const newer = { scope, version: 50, settings: { plan: {}, paused: true } };
  for (const partition of PARTITIONS.all()) {
    await run(copier.redis, setLayer, { partition, ...newer });
  }
  expect(await next()).toEqual({ "skipped: CHANNEL_PAUSED": FOLLOWERS });
  await checkRoster(records, targets);
  expect(await next()).toEqual({ placed: FOLLOWERS });
  await set(scope, {}, true);
  expect(await next()).toEqual({ "skipped: CHANNEL_PAUSED": FOLLOWERS });
  await clear(scope);
  expect(await checkRoster(records, targets)).toMatchObject({ projected: 0, left: 0 });
});

test("a Redis that lost its policies has them back after a check, and none without a record", async () => {
  await set(`channel:${CHANNEL}`, {}, true);
  const keys = PARTITIONS.all().map((partition) => `region:{${partition}}:layers`);
  for (const key of keys) await copier.redis.send("DEL", [key]);
  expect(await next()).toEqual({ placed: FOLLOWERS });
  const stranger = { scope: "channel:unrecorded", version: 9 } as const;
  const settings = { plan: {}, paused: true };
  await run(copier.redis, setLayer, { partition: 0, ...stranger, settings });
  expect(await checkRoster(records, targets)).toMatchObject({ projected: 3, left: 1 });
  expect(await next()).toEqual({ "skipped: CHANNEL_PAUSED": FOLLOWERS });
  expect(await checkRoster(records, targets)).toMatchObject({ projected: 0, left: 0 });
  await clear(`channel:${CHANNEL}`);
});

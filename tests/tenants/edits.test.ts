/**
 * One tenant's edits cost another's jobs nothing, on real processes. How long a
 * fan-out takes meanwhile is measured by `npm run bench -- edits`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { CHANNEL, PARTITIONS, startCopier, type Copier } from "../support/copier.ts";
import { startDesk, type TestDesk } from "../support/desk.ts";
import { readMetrics } from "../support/metrics.ts";
import { freePort } from "../support/ports.ts";
import { untilOldEnough } from "../support/redis.ts";
import { startRole, type RoleProcess } from "../support/role.ts";
import { until } from "../support/wait.ts";
import { openTenant, type Tenant } from "../support/tenant.ts";
import { setLayer } from "../../workers/copier/stored/layers.ts";
import { run } from "../../workers/runtime/redis.ts";

setDefaultTimeout(60_000);

const FOLLOWERS = 2_000;
const FAN_OUTS = 10;

const folder = mkdtempSync(join(tmpdir(), "fanfare-tenants-"));
let desk: TestDesk;
let copier: Copier;
let tenant: Tenant;
let worker: RoleProcess;
let metricsPort: number;

beforeAll(async () => {
  desk = await startDesk();
  copier = await startCopier(desk, FOLLOWERS, { deadlineMs: 30_000, balanceCents: 100_000_000 });
  tenant = await openTenant(desk.redisUrl, folder, FOLLOWERS);
  metricsPort = await freePort();
  const env = { FANFARE_METRICS_PORT: String(metricsPort) };
  worker = await startRole("broker", { ...desk.env, ...env });
  await untilOldEnough();
}, 60_000);
afterAll(async () => {
  await worker.stop();
  await tenant.close();
  copier.stop();
  await desk.stop();
  rmSync(folder, { recursive: true, force: true });
});

const stales = async () =>
  (await readMetrics(metricsPort)).get("fanfare_stale_decisions_total") ?? 0;

async function fanOut(): Promise<void> {
  const id = await copier.send({ durationSeconds: 3_600 });
  const { counts } = await copier.complete(id, 30_000);
  expect(counts).toMatchObject({ placed: FOLLOWERS });
}

test("none of another tenant's jobs is decided again while plans are edited all the time", async () => {
  // What the worker holds of the channel is from here on as it was.
  await fanOut();
  const before = await stales();
  let edits = 0;
  let isOver = false;
  const editing = (async () => {
    while (!isOver) {
      await tenant.edit(100);
      edits += 100;
    }
  })();
  for (let count = 0; count < FAN_OUTS; count += 1) {
    await fanOut();
    const during = edits;
    await until("plans are edited", () => edits > during);
  }
  isOver = true;
  await editing;
  expect(edits).toBeGreaterThanOrEqual(FAN_OUTS * 100);
  expect((await stales()) - before).toBe(0);
});

test("but an edit of its own makes one decide again", async () => {
  const before = await stales();
  const settings = { plan: { maxStakeCents: 1_000 }, paused: false };
  const layer = { scope: `channel:${CHANNEL}`, version: 1, settings } as const;
  await Promise.all(
    PARTITIONS.all().map((partition) => run(copier.redis, setLayer, { partition, ...layer })),
  );
  await fanOut();
  expect((await stales()) - before).toBeGreaterThan(0);
});

/** The metrics of a broker worker. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { PARTITIONS, startCopier, type Copier } from "../../../tests/support/copier.ts";
import { startDesk, type TestDesk } from "../../../tests/support/desk.ts";
import { readMetrics } from "../../../tests/support/metrics.ts";
import { freePort } from "../../../tests/support/ports.ts";
import { startRole, type RoleProcess } from "../../../tests/support/role.ts";
import { until } from "../../../tests/support/wait.ts";

setDefaultTimeout(30_000);

const FOLLOWERS = 40;

let desk: TestDesk;
let copier: Copier;
let worker: RoleProcess;
let port: number;

beforeAll(async () => {
  desk = await startDesk();
  copier = await startCopier(desk, FOLLOWERS);
  port = await freePort();
  worker = await startRole("broker", { ...desk.env, FANFARE_METRICS_PORT: String(port) });
});
afterAll(async () => {
  await worker.stop();
  copier.stop();
  await desk.stop();
});

test("each copy is counted by its outcome, and each job as a handled entry", async () => {
  await copier.send();
  const handled = 'fanfare_entries_total{stream="jobs",group="workers",result="handled"}';
  const metrics = await until("a job in each partition is counted", async () => {
    const now = await readMetrics(port);
    return now.get(handled) === PARTITIONS.count && now;
  });
  const copies = [...metrics].filter(([series]) => series.startsWith("fanfare_copies_total"));
  expect(new Map(copies)).toEqual(
    new Map([
      ['fanfare_copies_total{outcome="placed"}', FOLLOWERS],
      ['fanfare_copies_total{outcome="rejected"}', 0],
      ['fanfare_copies_total{outcome="skipped"}', 0],
      ['fanfare_copies_total{outcome="unknown"}', 0],
    ]),
  );
});

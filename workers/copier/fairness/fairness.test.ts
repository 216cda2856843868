import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startCopier, type Copier } from "../../../tests/support/copier.ts";
import { runCommand } from "../../../tests/support/command.ts";
import { startDesk, type TestDesk } from "../../../tests/support/desk.ts";
import { startRole, type RoleProcess } from "../../../tests/support/role.ts";
import { until } from "../../../tests/support/wait.ts";
import { openSqliteRecords } from "../../records/sqlite/open.ts";
import type { OrderRecord } from "../../records/port.ts";
import { reportOf, type FairnessReport } from "./report.ts";
import { serviceOf } from "./service.ts";

setDefaultTimeout(60_000);

const FOLLOWERS = 40;
const SIGNALS = 30;
const folder = mkdtempSync(join(tmpdir(), "fanfare-fairness-"));
let desk: TestDesk;
let copier: Copier;
let roles: RoleProcess[] = [];

beforeAll(async () => {
  desk = await startDesk();
  copier = await startCopier(desk, FOLLOWERS);
  const env = { ...desk.env, FANFARE_DATA: folder };
  roles = await Promise.all([startRole("broker", env), startRole("recorder", env)]);
});
afterAll(async () => {
  await Promise.all(roles.map((role) => role.stop()));
  copier.stop();
  await desk.stop();
  rmSync(folder, { recursive: true });
});

const command = (...words: string[]) =>
  runCommand(["workers/commands/main.ts", "fairness", ...words], {
    ...desk.env,
    FANFARE_DATA: folder,
  });

test("the records show how the real workers served: everyone, in rotation", async () => {
  expect((await command()).code).toBe(2);
  for (let index = 0; index < SIGNALS; index += 1) {
    const id = await copier.send();
    await copier.complete(id);
  }
  const records = openSqliteRecords(folder);
  await until("all is recorded", async () => {
    const [group] = await records.orders.group({ where: { outcome: "placed" }, by: [] });
    return group?.count === FOLLOWERS * SIGNALS;
  });
  await records.close();
  const json = join(folder, "fairness.json");
  const { code, out } = await command("--channel", "demo", "--json", json);
  expect(code).toBe(0);
  expect(out).toContain(`${SIGNALS} signals, ${FOLLOWERS} followers`);
  const report = (await Bun.file(json).json()) as FairnessReport;
  expect(report.dispersion).toBeLessThan(0.4);
  expect(report.spreadMs.worst).toBeGreaterThanOrEqual(report.spreadMs.median);
  expect(
    report.followers.every(({ signals, tooLate }) => signals === SIGNALS && tooLate === 0),
  ).toBe(true);
  expect(out).toContain(report.followers[0]?.subscription ?? "nobody");
  expect((await command("--channel", "other")).err).toContain("no signal of the channel other");
});

test("followers who are always served last, or skipped as too late, are named before all others", () => {
  const order = (subscription: string, more: Partial<OrderRecord>) =>
    ({ subscription, outcome: "placed", ...more }) as OrderRecord;
  const service = serviceOf([
    order("left-out", { outcome: "skipped", reason: "TOO_LATE" }),
    order("last", { answeredAtMs: 30 }),
    order("first", { answeredAtMs: 10 }),
    order("rejected", { outcome: "rejected", answeredAtMs: 20 }),
    order("paused", { outcome: "skipped", reason: "PAUSED" }),
    order("unknown", { outcome: "unknown" }),
  ]);
  const { followers, spreadMs, dispersion } = reportOf(Array.from({ length: 9 }, () => service!));
  expect(followers.map(({ subscription }) => String(subscription))).toEqual([
    "left-out",
    "last",
    "rejected",
    "first",
  ]);
  expect(followers[0]).toMatchObject({ tooLate: 9, meanRank: 1 });
  expect(spreadMs).toEqual({ median: 20, worst: 20 });
  expect(dispersion).toBeGreaterThan(1);
});

test("a signal for which no follower was served is not counted", () => {
  expect(serviceOf([])).toBeUndefined();
});

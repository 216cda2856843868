/** Flattening as it is given: by the command, on a system at work. The verdict is read from the desk's books. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { SignalId } from "../../../domain/ids.ts";
import { readBooks, startCopier, followerOf, type Copier } from "../../../tests/support/copier.ts";
import { runCommand } from "../../../tests/support/command.ts";
import { startDesk, type TestDesk } from "../../../tests/support/desk.ts";
import { startRole, type RoleProcess } from "../../../tests/support/role.ts";
import { until } from "../../../tests/support/wait.ts";

setDefaultTimeout(60_000);

const FOLLOWERS = 60;

let desk: TestDesk;
let copier: Copier;
let worker: RoleProcess;

beforeAll(async () => {
  desk = await startDesk();
  copier = await startCopier(desk, FOLLOWERS);
  worker = await startRole("broker", desk.env);
});
afterAll(async () => {
  await worker.stop();
  copier.stop();
  await desk.stop();
});

const control = (...words: string[]) =>
  runCommand(["workers/commands/main.ts", "control", ...words], desk.env);

async function opened(): Promise<SignalId> {
  const id = await copier.send({ durationSeconds: 600 });
  await copier.complete(id);
  return id;
}

/** How many of a signal's contracts are in each state, by the desk's books. */
async function states(id: SignalId): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const state of (await readBooks(copier.redis, id)).contracts.values()) {
    counts[state] = (counts[state] ?? 0) + 1;
  }
  return counts;
}

test.each(["platform", "channel:demo", "provider:demo-provider", "broker:desk"])(
  "flatten %s closes all that is open, and again finds nothing open",
  async (scope) => {
    const ids = [await opened(), await opened()];
    const { code, out, err } = await control("flatten", scope);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(/^demo\ts\w+\tof \d+ copies: 120 closed, \d+ not open, 0 rejected/);
    for (const id of ids) expect(await states(id)).toEqual({ sold: FOLLOWERS });
    const again = await control("flatten", scope);
    expect(again.code).toBe(0);
    expect(again.out).toMatch(/: 0 closed, \d+ not open, 0 rejected, 0 unknown, 0 waiting\n$/);
  },
);

test.each(["channel:other", "provider:other", "broker:other", "follower:other"])(
  "flatten %s closes nothing of others",
  async (scope) => {
    const id = await opened();
    expect(await control("flatten", scope)).toMatchObject({
      code: 0,
      out: `Nothing of ${scope} is open.\n`,
      err: "",
    });
    expect(await states(id)).toEqual({ open: FOLLOWERS });
  },
);

test("flatten of a follower closes their copies alone", async () => {
  await control("flatten", "platform");
  const id = await opened();
  const { code, out } = await control("flatten", "follower:follower-0042");
  expect(code).toBe(0);
  expect(out).toContain(": 1 closed");

  expect(await states(id)).toEqual({ open: FOLLOWERS - 1, sold: 1 });
  const { contracts } = await readBooks(copier.redis, id);
  expect(contracts.get(`${id}.${followerOf(42).id}`)).toBe("sold");
});

test("under a halt it says what holds it, and everything is closed once that is lifted", async () => {
  await control("flatten", "platform");
  const id = await opened();
  await control("halt", "broker:desk");
  const { code, out, err } = await control("flatten", "platform");
  expect(code).toBe(1);
  expect(out).toMatch(/ 0 closed, .*, [1-9]\d* waiting\n$/);
  expect(err).toBe("Halted: broker:desk. What a halt holds is closed when it is lifted.\n");
  expect(await states(id)).toEqual({ open: FOLLOWERS });
  await control("lift", "broker:desk");
  await until("all are sold", async () => (await states(id))["sold"] === FOLLOWERS);
});

test("flatten needs a scope", async () => {
  expect((await control("flatten")).code).toBe(2);
});

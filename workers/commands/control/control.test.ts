/** Halts as they are given: by the command, on a system at work. The verdict is read from the desk's books. */
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { asId, type PersonId, type SignalId, type SubscriptionId } from "../../../domain/ids.ts";
import type { Scope } from "../../../domain/copier/scope.ts";
import { HomeKeys } from "../../../redis/keys.ts";
import { dispatchesOf, enqueue } from "../../../redis/enqueue.ts";
import { parseStoredSignal, STORED_SIGNAL_FIELDS } from "../../../redis/progress.ts";
import {
  followerOf,
  HOME,
  readOutcomes,
  startCopier,
  type Copier,
} from "../../../tests/support/copier.ts";
import { runCommand } from "../../../tests/support/command.ts";
import { startDesk, type TestDesk } from "../../../tests/support/desk.ts";
import { startRedis, untilOldEnough } from "../../../tests/support/redis.ts";
import { startRole, type RoleProcess } from "../../../tests/support/role.ts";
import { until } from "../../../tests/support/wait.ts";
import { readCopy } from "../../copier/roster/stops.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { run } from "../../runtime/redis.ts";

setDefaultTimeout(60_000);

const FOLLOWERS = 1_200;
/** Orders that are under way while the command runs. */
const EVERY_MS = 50;

const ALL = Array.from({ length: FOLLOWERS }, (_, index) => followerOf(index));

const control = (env: Readonly<Record<string, string>>, ...words: string[]) =>
  runCommand(["workers/commands/main.ts", "control", ...words], env);

describe("a halt under load", () => {
  let desk: TestDesk;
  let copier: Copier;
  let worker: RoleProcess;

  beforeAll(async () => {
    desk = await startDesk();
    copier = await startCopier(desk, FOLLOWERS, { deadlineMs: 10_000, balanceCents: 100_000_000 });
    worker = await startRole("broker", desk.env);
    await untilOldEnough();
  });
  afterAll(async () => {
    await worker.stop();
    copier.stop();
    await desk.stop();
  });

  afterEach(async () => {
    for (const [scope] of cases) await control(desk.env, "lift", scope);
  });

  /** When the desk opened the last order of these signals, by its own books. */
  async function lastOrderAtMs(ids: readonly SignalId[], of: readonly SubscriptionId[]) {
    const wanted = new Set<string>(of);
    let last = 0;
    for (const id of ids) {
      const reply = await desk.broker.list(id);
      if (reply.kind !== "answered") throw new Error("the desk does not answer");
      for (const each of reply.answers) {
        const [, subscription = ""] = each.clientOrderId.split(".");
        if (wanted.has(subscription)) last = Math.max(last, each.openedAtMs);
      }
    }
    return last;
  }

  const cases: [Scope, readonly SubscriptionId[]][] = [
    ["platform", ALL.map(({ id }) => id)],
    ["channel:demo", ALL.map(({ id }) => id)],
    ["provider:demo-provider", ALL.map(({ id }) => id)],
    [`follower:${asId<PersonId>("follower-0042")}`, [asId<SubscriptionId>("sub-0042")]],
    ["broker:desk", ALL.map(({ id }) => id)],
  ];
  test.each(cases)(
    "of %s: no order later than a second after it, until it is lifted (P4)",
    async (scope, of) => {
      // Accepted before the halt, and dispatched after it.
      const late = await copier.send({}, false);
      const ids: SignalId[] = [late];
      let sending = true;
      const stream = (async () => {
        while (sending) {
          await Promise.all([
            copier.send().then(
              (id) => ids.push(id),
              () => undefined,
            ),
            Bun.sleep(EVERY_MS),
          ]);
        }
      })();
      await until("orders are under way", () => ids.length > 5);
      const halted = await control(desk.env, "halt", scope);
      expect([halted.code, halted.err]).toEqual([0, ""]);
      expect(halted.out).toContain(`${scope} is halted: 8 of 8 partitions confirmed, 8 changed.`);
      const stored = parseStoredSignal(
        await copier.redis.send("HMGET", [HOME.signal(late), ...STORED_SIGNAL_FIELDS]),
      );
      for (const each of dispatchesOf(stored!.signal, stored!.routes)) {
        await run(copier.redis, enqueue, each.enqueue);
      }
      await until("a second has passed", () => Date.now() > halted.endedAtMs + 1_000);
      sending = false;
      await stream;
      for (const id of ids) await copier.complete(id);
      const afterMs = (await lastOrderAtMs(ids, of)) - halted.endedAtMs;
      expect(afterMs).toBeLessThanOrEqual(1_000);
      expect(await lastOrderAtMs([late], of)).toBe(0);
      expect((await readOutcomes(copier.redis, late)).get(of[0]!)).toEqual(["skipped: HALTED"]);
      // Somebody was served until then.
      expect(
        await lastOrderAtMs(
          ids,
          ALL.map(({ id }) => id),
        ),
      ).toBeGreaterThan(0);

      const again = await control(desk.env, "halt", scope);
      expect(again.out).toContain("8 of 8 partitions confirmed, 0 changed.");
      expect((await control(desk.env, "status")).out).toBe(`${scope}\thalted\teverywhere\n`);
      expect((await control(desk.env, "lift", scope)).code).toBe(0);
      const next = await copier.send();
      await copier.complete(next);
      expect((await copier.progress(next)).counts.placed).toBe(FOLLOWERS);
    },
  );
});

describe("the command", () => {
  test("names the partitions that did not confirm, and finishes when given again", async () => {
    const [home, far] = [await startRedis(), await startRedis()];
    const env = {
      FANFARE_REDIS_URL: home.url,
      FANFARE_PARTITIONS: "2",
      FANFARE_REGION_REDIS_URLS: JSON.stringify({ local: home.url, far: far.url }),
    };
    await far.kill();
    const cut = await control(env, "drain", "channel:demo");
    expect(cut.code).toBe(1);
    expect(cut.out).toContain("channel:demo is being drained: 4 of 6 partitions confirmed");
    expect(cut.err).toContain("region far, partition 0; region far, partition 1");
    await far.restart();
    const status = await control(env, "status");
    expect(status.out).toBe("channel:demo\tbeing drained\tonly in 4 of 6 partitions\n");
    expect((await control(env, "drain", "channel:demo")).out).toContain("2 changed");
    expect((await control(env, "status", "channel:demo")).out).toContain("everywhere");
    await home.stop();
    await far.stop();
  });

  test("a drain does not loosen a halt", async () => {
    const redis = await startRedis();
    const env = { FANFARE_REDIS_URL: redis.url, FANFARE_PARTITIONS: "1" };
    await control(env, "halt", "platform");
    expect((await control(env, "drain", "platform")).out).toContain("platform is halted");
    await control(env, "lift", "platform");
    expect((await control(env, "status")).out).toBe("Nothing is halted or drained.\n");
    await redis.stop();
  });

  test("keeps why, for the records, beside the stop", async () => {
    const redis = await startRedis();
    const client = connectRedis(redis.url);
    const env = { FANFARE_REDIS_URL: redis.url, FANFARE_PARTITIONS: "1" };
    const copy = { name: "home", redis: client, key: new HomeKeys(0).halts };
    const scope = "channel:demo";
    await control(env, "halt", scope, "--why", "the feed is wrong");
    const operator = { by: "operator", owner: "*" };
    expect((await readCopy(copy)).get(scope)).toMatchObject({
      ...operator,
      state: "halt",
      why: "the feed is wrong",
    });
    await control(env, "lift", scope);
    expect((await readCopy(copy)).get(scope)).toMatchObject({
      ...operator,
      state: "open",
      why: "",
    });
    client.close();
    await redis.stop();
  });

  test("refuses what it cannot read, and does nothing", async () => {
    for (const words of [
      [],
      ["halt"],
      ["halt", "demo"],
      ["stop", "platform"],
      ["halt", "platform", "now"],
      ["status", "--why", "so"],
      ["flatten", "platform", "--why", "so"],
      ["halt", "platform", "--why"],
    ]) {
      const { code, err } = await control({}, ...words);
      expect(code).toBe(2);
      expect(err).toStartWith("usage: control halt|drain|lift <scope>");
    }
    const { code, err } = await control({}, "halt", "platform", "--why", "x".repeat(201));
    expect([code, err]).toEqual([2, expect.stringContaining("200 characters")]);
  });
});

/**
 * A short run of the crash tests: each named point once, and each kind of disaster at the broker
 * with the fewest guarantees.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { trim } from "../../redis/streams.ts";
import { answer } from "../../workers/copier/stored/outcomes.ts";
import { startMongo } from "../support/mongo.ts";
import type { Toxic } from "../support/toxiproxy.ts";
import { aroundScripts, equipmentWith, POINTS, strikesCloses, type Disaster } from "./disaster.ts";
import { FORGETS, play, SEES_ALL, SEES_LITTLE, SELLS_ONCE, type Round } from "./players.ts";

setDefaultTimeout(120_000);

const mongo = await startMongo();
const equipment = equipmentWith(mongo);
/** If MongoDB is not the target, SQLite is faster. */
const sqlite = { ...equipment, mongo: undefined };

afterAll(async () => {
  await mongo?.stop();
});

/**
 * Each of the worker's eight loops trims at its start; this is the first trim that has an effect.
 */
const TRIMMED = 9;

test("a process killed on either side of any durable step loses nothing and doubles nothing", async () => {
  const rounds = POINTS.map(([role, at]): Round => {
    const asks = aroundScripts(answer).includes(at);
    const nth = aroundScripts(trim).includes(at) ? TRIMMED : 1;
    const disaster: Disaster = { kind: "crash", role, at, nth };
    if (strikesCloses(disaster)) return { closes: "under way", durationSeconds: 60, disaster };
    return {
      broker: asks ? SEES_LITTLE : SEES_ALL,
      faults: asks ? { silent: 1 } : {},
      disaster,
    };
  });
  const played = await play(rounds, sqlite);
  const names = POINTS.map(([role, at]) => `${role} ${at}`);
  expect(played.map(({ faults }, index) => [names[index], faults])).toEqual(
    names.map((name) => [name, []]),
  );
  expect(names.filter((_, index) => !played[index]?.struck)).toEqual([]);
});

test("a worker halted before a send, a reply lost, a Redis that forgets, a dead broker: nothing is doubled", async () => {
  const disasters: readonly Disaster[] = [
    { kind: "kill unanswered" },
    // Long enough for the other worker's order to be closed and its id forgotten.
    { kind: "halt", at: "before-send", nth: 1, forMs: 2_500 },
    { kind: "forget the sending" },
    { kind: "pause Redis", afterMs: 10, forMs: 600 },
    { kind: "kill Redis", afterMs: 20 },
    { kind: "dead broker", afterMs: 0, forMs: 700 },
  ];
  const rounds = [SEES_ALL, FORGETS].flatMap((broker) =>
    disasters.map((disaster) => ({ broker, faults: { partial: 0.5 }, disaster })),
  );
  const played = await play(rounds, sqlite);
  expect(played.flatMap(({ faults }) => faults)).toEqual([]);
});

test("a worker that is halted before it writes its outcomes, and overtaken: each outcome is reported once", async () => {
  const halt = { kind: "halt", nth: 1, forMs: 3_500 } as const;
  const played = await play(
    [
      { disaster: { ...halt, at: "before:report" } },
      { disaster: { ...halt, at: "before:answer" }, broker: SEES_LITTLE, faults: { silent: 1 } },
    ],
    sqlite,
  );
  expect(played.flatMap(({ faults }) => faults)).toEqual([]);
  expect(played.map(({ struck }) => struck)).toEqual([true, true]);
});

test("settings that make every decision of a partition throw end each of its copies as skipped, and delay no other", async () => {
  const partitions = [0, 1];
  const played = await play(
    partitions.map((partition) => ({ disaster: { kind: "spoil", partition, afterMs: 0 } })),
    sqlite,
  );
  expect(played.flatMap(({ faults }) => faults)).toEqual([]);
  for (const { counts } of played) {
    expect(counts["skipped: FAULT"]).toBeGreaterThan(0);
    expect(counts["placed"]).toBeGreaterThan(0);
  }
});

test("what is closed is sold once and reported, with any fault of worker, broker or Redis meanwhile, and nothing before a halt is lifted", async () => {
  const halt = { kind: "halt", nth: 1, forMs: 1_500 } as const;
  const rounds: readonly Round[] = [
    { closes: "under way", disaster: { kind: "kill unanswered" } },
    { closes: "under way", disaster: { ...halt, at: "before-close-send" } },
    { closes: "under way", disaster: { ...halt, at: "before:move-closing" }, broker: SELLS_ONCE },
    { closes: "under way", disaster: { kind: "dead broker", afterMs: 0, forMs: 700 } },
    { closes: { heldBy: "broker:fake" }, disaster: { kind: "kill worker", afterMs: 0 } },
    { closes: { heldBy: "follower:follower-0007" }, disaster: { kind: "kill Redis", afterMs: 20 } },
  ];
  const played = await play(
    rounds.map((round) => ({ durationSeconds: 60, faults: { resetAfter: 0.3 }, ...round })),
    sqlite,
  );
  expect(played.flatMap(({ faults }) => faults)).toEqual([]);
  expect(played.map(({ counts }) => (counts["close closed"] ?? 0) > 0)).toEqual(
    rounds.map(() => true),
  );
});

test.skipIf(!equipment.noteSyncs)(
  "a Redis whose machine dies: what was not synced is gone, nothing is doubled, and under `always` nothing is missing",
  async () => {
    const cut = (afterMs: number): Disaster => ({ kind: "cut Redis", afterMs, share: 1 });
    const rounds = (["everysec", "always"] as const).flatMap((durability) =>
      [0, 60, 300].map((afterMs): Round => ({ durability, disaster: cut(afterMs) })),
    );
    const played = await play(rounds, sqlite);
    expect(played.flatMap(({ faults }) => faults)).toEqual([]);
    const missing = played.map(({ exceptions }) => exceptions.length > 0);
    expect(missing.slice(0, 3)).toContain(true);
    expect(missing.slice(3)).toEqual([false, false, false]);
  },
);

test.skipIf(!mongo)(
  "a MongoDB that is cut off or paused: its records contain everything that was reported, each copy once",
  async () => {
    const spell = { afterMs: 0, forMs: 1_500 };
    const disasters: readonly Disaster[] = [
      { kind: "cut MongoDB", ...spell },
      ...(mongo?.process ? [{ kind: "pause MongoDB", ...spell } as const] : []),
      ...(mongo?.process?.killAndRestart ? [{ kind: "kill MongoDB", afterMs: 0 } as const] : []),
      { kind: "crash", role: "recorder", at: "between-records", nth: 2 },
    ];
    const played = await play(
      disasters.map((disaster) => ({ disaster })),
      equipment,
    );
    expect(played.flatMap(({ faults }) => faults)).toEqual([]);
  },
);

test.skipIf(!equipment.toxiproxy)(
  "a network that is cut, slow, silent or reset loses nothing and doubles nothing",
  async () => {
    const toxics = [
      { kind: "cut" },
      { kind: "silent" },
      { kind: "slow", delayMs: 300 },
      { kind: "reset" },
    ] as const;
    const ways = [...(["broker", "redis"] as const), ...(mongo ? ["records" as const] : [])];
    const on = (to: (typeof ways)[number], toxic: Toxic, forMs = 700): Round => {
      const disaster = { kind: "network", to, toxic, afterMs: 0, forMs } as const;
      return { durationSeconds: 60, closes: "under way", disaster };
    };
    const rounds = toxics.map((toxic, index) => on(ways[index % ways.length] ?? "redis", toxic));
    if (mongo) rounds.push(on("records", { kind: "silent" }, 1_500));
    const played = await play(rounds, equipment);
    expect(played.flatMap(({ faults }) => faults)).toEqual([]);
  },
);

/** A short run of the crash tests: each named point once, and each kind of disaster at the broker that forgives least. */
import { expect, test } from "bun:test";
import { hasToxiproxy } from "../support/toxiproxy.ts";
import { POINTS, type Disaster, type Plan } from "./plan.ts";
import { playRound, type Played } from "./round.ts";

const SEED = 5;
const AT_ONCE = 3;

/** Knows no ids and finds all, so that every order sent twice is on its book twice. */
const SEES_ALL = { deduplicates: "none", lookUp: "authoritative", validUntil: "enforced" } as const;
/** Promises nothing: what is not answered is asked about to the end. */
const SEES_LITTLE = { deduplicates: "none", lookUp: "hint", validUntil: "enforced" } as const;
/** Forgets an id once its contract is closed, and opens whatever comes. */
const FORGETS = {
  deduplicates: "open-orders",
  lookUp: "authoritative",
  validUntil: "ignored",
} as const;

async function play(plans: readonly Omit<Plan, "round">[]): Promise<Played[]> {
  const waiting = [...plans.entries()];
  const played: Played[] = [];
  const player = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      played[next[0]] = await playRound({ ...next[1], round: next[0] }, SEED);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, player));
  return played;
}

test("a process killed at any point of the hot path loses nothing and doubles nothing", async () => {
  const played = await play(
    POINTS.map((at) => {
      const asks = at.endsWith("-question");
      return {
        broker: asks ? SEES_LITTLE : SEES_ALL,
        faults: asks ? { silent: 1 } : {},
        durationSeconds: 1,
        disaster: { kind: "crash", at, nth: 1 },
      };
    }),
  );
  expect(played.map(({ faults }, index) => [POINTS[index], faults])).toEqual(
    POINTS.map((at) => [at, []]),
  );
  expect(POINTS.filter((_, index) => !played[index]?.struck)).toEqual([]);
}, 60_000);

test("a worker halted before a send, a reply lost, a Redis that forgets: nothing is doubled", async () => {
  const disasters: readonly Disaster[] = [
    { kind: "kill unanswered" },
    // Long enough that the other worker's order is closed and its id forgotten.
    { kind: "halt before send", nth: 1, forMs: 2_500 },
    { kind: "cut Redis", afterMs: 30, share: 0.5 },
    { kind: "forget the sending" },
    { kind: "pause Redis", afterMs: 10, forMs: 600 },
    { kind: "kill Redis", afterMs: 20 },
  ];
  const played = await play(
    [SEES_ALL, FORGETS].flatMap((broker) =>
      disasters.map((disaster) => ({ broker, faults: {}, durationSeconds: 1, disaster })),
    ),
  );
  expect(played.flatMap(({ faults }) => faults)).toEqual([]);
}, 60_000);

test.skipIf(!hasToxiproxy())(
  "a network that is cut, slow, silent or reset loses nothing and doubles nothing",
  async () => {
    const toxics = [
      { kind: "cut" },
      { kind: "slow", delayMs: 300 },
      { kind: "silent" },
      { kind: "reset" },
    ] as const;
    const played = await play(
      toxics.map((toxic, index) => ({
        broker: SEES_ALL,
        faults: {},
        durationSeconds: 60,
        disaster: {
          ...{ kind: "network", toxic, afterMs: 60, forMs: 700 },
          to: index % 2 === 0 ? "broker" : "redis",
        },
      })),
    );
    expect(played.flatMap(({ faults }) => faults)).toEqual([]);
  },
  60_000,
);

/**
 * Crash rounds on a cluster. A failover may lose the last writes that were acknowledged and not
 * replicated. Nothing else is lost, nothing is doubled, and the reconciler names everything that
 * was lost (`tests/crash/reconciled.ts`).
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { Disaster } from "../crash/disaster.ts";
import { FORGETS, play, SEES_ALL, type Round } from "../crash/players.ts";

/** A minute and a half, and several times that beside other work. */
setDefaultTimeout(300_000);

const SQLITE = { mongo: undefined, noteSyncs: false };
const AT_ONCE = 2;

const on = (disaster: Disaster, changes: Partial<Round> = {}): Round => ({
  store: "cluster",
  disaster,
  ...changes,
});

test("a worker killed or halted, a partition that moves: nothing is lost and nothing doubled on a cluster", async () => {
  const played = await play(
    [
      on({ kind: "crash", role: "broker", at: "after:intend", nth: 2 }),
      on({ kind: "crash", role: "dispatch", at: "after:enqueue", nth: 2 }),
      on(
        { kind: "crash", role: "broker", at: "after-close-answer", nth: 1 },
        { closes: "under way", durationSeconds: 60 },
      ),
      on({ kind: "halt", at: "before-send", nth: 1, forMs: 2_500 }, { broker: FORGETS }),
      on(
        { kind: "move a partition", partition: 1, afterMs: 0 },
        { closes: { heldBy: "broker:fake" }, durationSeconds: 60, faults: { beforeMs: 300 } },
      ),
    ],
    SQLITE,
    AT_ONCE,
  );
  expect(played.flatMap(({ faults }) => faults)).toEqual([]);
  // On a busy machine the deadline may pass before there is a send at which to halt.
  expect(played.slice(0, 3).map(({ struck }) => struck)).toEqual([true, true, true]);
});

test("a primary killed during a fan-out: nothing is doubled, and the reconciler names what was lost", async () => {
  const rounds = [SEES_ALL, FORGETS].flatMap((broker) => [
    on({ kind: "kill primary", of: "home", ahead: true, afterMs: 0 }, { broker }),
    on(
      { kind: "kill primary", of: 3, ahead: true, afterMs: 100 },
      { broker, closes: "under way", durationSeconds: 60 },
    ),
  ]);
  const played = await play(rounds, SQLITE, AT_ONCE);
  expect(played.flatMap(({ faults }) => faults)).toEqual([]);
  // Each of these lost something: with a replica that was up to date there would be nothing to
  // name.
  expect(played.map(({ exceptions }) => exceptions.length > 0)).toEqual([true, true, true, true]);
});

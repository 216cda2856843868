/**
 * Reserving, giving back and settling on a real Redis, compared with a simple
 * model, in any order.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import type { Copy } from "../../../domain/copier/copy.ts";
import { decide } from "../../../domain/copier/decide.ts";
import {
  asId,
  type AccountId,
  type ChannelId,
  type ClientOrderId,
  type PersonId,
  type SubscriptionId,
} from "../../../domain/ids.ts";
import type { Outcome } from "../../../domain/copier/outcome.ts";
import { DAY_MS, parseUsage } from "../../../domain/copier/caps.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { UsageModel } from "../../../tests/support/usage-model.ts";
import { acceptedOpen, jobOf, signalIdOf } from "../../../tests/support/signals.ts";
import { NO_LAYERS } from "./layers.ts";
import { intend } from "./intents.ts";
import { countCopies, report } from "./outcomes.ts";
import type { Job } from "../../../redis/job.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { settleUsage } from "./caps.ts";

let redis: ScriptRedis;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});

const partition = 0;
const broker = "desk";
const region = new RegionKeys(partition);
const subscription = asId<SubscriptionId>("sub");
const account = asId<AccountId>("acct");
const channel = asId<ChannelId>("demo");
const person = asId<PersonId>("someone");
const START_MS = 20_000 * DAY_MS;

interface Sent {
  readonly job: Job;
  readonly copy: Copy;
  readonly id: ClientOrderId;
  readonly stakeCents: number;
}

const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("intend" as const),
      stale: fc.boolean(),
      /** How far the clock of the deciding worker is behind. */
      behindMs: fc.constantFrom(0, 0, 0, 1, DAY_MS),
    }),
  },
  fc.record({ kind: fc.constant("reject" as const), which: fc.nat(20) }),
  fc.record({
    kind: fc.constant("settle" as const),
    which: fc.nat(20),
    returnCents: fc.integer({ min: 0, max: 200 }),
    daysAgo: fc.constantFrom(0, 0, 0, 1),
  }),
  fc.record({
    kind: fc.constant("fill" as const),
    which: fc.nat(20),
    stakeCents: fc.integer({ min: 1, max: 100 }),
  }),
  fc.record({ kind: fc.constant("midnight" as const) }),
);

test("the usage equals a simple model's, and no cap is exceeded, in any order and with any repetitions", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      await redis.clear();
      await redis.send("HSET", region.rosterHead(channel, broker), "version:0", "1");
      const plan = {
        sizing: { kind: "fixed" as const, stakeCents: 100 },
        maxDayStakeCents: 450,
        maxOpen: 3,
        maxDayLossCents: 150,
      };
      const model = new UsageModel();
      const sent: Sent[] = [];
      const reported = new Set<ClientOrderId>();
      let nowMs = START_MS;
      let previous = "";
      const read = async (): Promise<string> =>
        ((await redis.send("HGET", region.usage(broker), subscription)) as string | null) ?? "";

      for (const each of steps) {
        const day = Math.floor(nowMs / DAY_MS);
        if (each.kind === "midnight") nowMs += DAY_MS;
        if (each.kind === "intend") {
          const current = await read();
          const decidedAtMs = nowMs - each.behindMs;
          const job = sentAt(sent.length, decidedAtMs);
          const copy = decide(
            job.signal,
            {
              subscription,
              account,
              state: "active",
              expiresAtMs: decidedAtMs + 1,
              plan,
              follower: person,
            } as never,
            {
              nowMs: decidedAtMs,
              usages: new Map([[subscription, each.stale ? previous : current]]),
            },
          );
          previous = current;
          const { stakeCents, clientOrderId: id, reservation } = copy;
          if (!reservation) continue;
          const args = {
            partition,
            job,
            shardVersion: 1,
            haltsVersion: "0",
            layersVersion: NO_LAYERS,
            // The days of this test are long ago, before any Redis' run.
            older: true,
            decided: { decidedAtMs, copies: [copy] },
          };
          const reply = await redis.run(intend, args);
          if (reservation.before !== current) {
            expect(reply).toEqual({
              kind: "overtaken",
              usages: new Map([[subscription, current]]),
            });
            continue;
          }
          expect(reply.kind).toBe("new");
          model.stake(id, stakeCents, reservation.day);
          sent.push({ job, copy, id, stakeCents });
        }
        const target = "which" in each ? sent[each.which] : undefined;
        const isFirst = target !== undefined && !reported.has(target.id);
        if (each.kind === "reject" && target) {
          const { stakeCents } = target;
          await tell(target, { kind: "rejected", stakeCents, reason: "REFUSED" });
          reported.add(target.id);
          if (isFirst) model.release(target.id);
        }
        if (each.kind === "fill" && target) {
          const { stakeCents } = each;
          const terms = { openPriceMicros: 1, openedAtMs: nowMs, expiresAtMs: nowMs };
          await tell(target, { kind: "placed", stakeCents, ...terms });
          reported.add(target.id);
          // A completely filled order changes nothing.
          if (isFirst && stakeCents < target.stakeCents) model.fill(target.id, stakeCents);
        }
        if (each.kind === "settle" && target) {
          const settledOn = day - each.daysAgo;
          const settled = [
            { clientOrderId: target.id, returnCents: each.returnCents, day: settledOn },
          ];
          const changed = await redis.run(settleUsage, { partition, broker, settled });
          const isHeld = model.settle(target.id, each.returnCents, settledOn);
          expect(changed).toBe(isHeld ? 1 : 0);
        }
        const usage = parseUsage(await read());
        expect(usage).toEqual(model.usage);
        expect(usage.open).toBeLessThanOrEqual(plan.maxOpen);
        expect(usage.stakedCents).toBeLessThanOrEqual(plan.maxDayStakeCents);
        expect(await redis.send("HLEN", region.reserved(broker))).toBe(model.held);
      }
    }),
    { numRuns: 60 },
  );
});

function sentAt(sequence: number, nowMs: number): Job {
  const times = { acceptedAtMs: nowMs, deadlineMs: nowMs + 1_000 };
  return jobOf(acceptedOpen({ id: signalIdOf(sequence), sequence, stakeCents: 100, ...times }));
}

async function tell({ job, copy }: Sent, outcome: Outcome): Promise<void> {
  const copies = [{ ...copy, outcome }];
  await redis.run(report, {
    partition,
    job,
    entry: "1-1",
    copies,
    counts: countCopies(copies),
    decidedAtMs: job.signal.acceptedAtMs,
    sentAtMs: null,
    answeredAtMs: null,
  });
}

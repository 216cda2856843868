/**
 * The same engine on a real Redis Cluster. Its replicas follow asynchronously, so a failover may
 * lose the last acknowledged writes. In every case no order is doubled, and the remaining outcomes
 * agree with the desk's books.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { exportJWK, generateKeyPair } from "jose";
import { clientOrderId, type SignalId, type SubscriptionId } from "../../domain/ids.ts";
import { RegionKeys } from "../../redis/keys.ts";
import { Reach } from "../../workers/copier/dispatch/reach.ts";
import { complete } from "../../workers/copier/dispatch/redispatch.ts";
import { SYSTEM_CLOCK } from "../../workers/runtime/clock.ts";
import { startCluster, type TestCluster } from "../support/cluster.ts";
import { HOME, readBooks, readOutcomes, startCopier, type Copier } from "../support/copier.ts";
import { startDeskOn, type DeskProcesses } from "../support/desk.ts";
import { startRole, type RoleProcess } from "../support/role.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(90_000);

const FOLLOWERS = 1_000;
/** Long enough for a failover to be over. */
const DEADLINE_MS = 15_000;

let cluster: TestCluster;
let desk: DeskProcesses;
let copier: Copier;
let parts: Parameters<typeof complete>[0];
const roles: RoleProcess[] = [];

beforeAll(async () => {
  cluster = await startCluster();
  desk = await startDeskOn(cluster.url);
  copier = await startCopier(desk, FOLLOWERS, { deadlineMs: DEADLINE_MS });
  parts = {
    home: copier.redis,
    regions: new Map([["local", copier.redis]]),
    reach: new Reach(SYSTEM_CLOCK),
  };
  const { privateKey } = await generateKeyPair("EdDSA", { extractable: true });
  const env = { ...desk.env, FANFARE_ISSUER_KEY: JSON.stringify(await exportJWK(privateKey)) };
  roles.push(await startRole("broker", desk.env), await startRole("dispatch", env));
});
afterAll(async () => {
  await Promise.all(roles.map((role) => role.stop()));
  await desk.stop();
  copier.stop();
  await cluster.stop();
});

/** As an edge does: what it cannot dispatch while a slot is on its way is the dispatcher's. */
async function send(): Promise<SignalId> {
  const id = await copier.send({}, false);
  await complete(parts, HOME, id).catch(() => undefined);
  return id;
}

const completes = (id: SignalId, timeoutMs = 60_000) =>
  until(
    "the fan-out is complete",
    async () => {
      const progress = await copier.progress(id).catch(() => undefined);
      return progress?.status === "complete" && progress.counts.unknown === 0;
    },
    timeoutMs,
  );

/** The outcomes and the desk's books agree on every follower. */
async function expectAgreement(id: SignalId): Promise<{ placed: number; reported: number }> {
  const outcomes = await readOutcomes(copier.redis, id);
  const placed: string[] = [];
  for (const [subscription, kinds] of outcomes) {
    const final = kinds.filter((kind) => kind !== "unknown");
    expect(new Set(final).size).toBe(1);
    if (final[0] === "placed") {
      placed.push(clientOrderId(id, subscription as SubscriptionId));
    }
  }
  const { contracts } = await readBooks(copier.redis, id);
  expect([...contracts.keys()].toSorted()).toEqual(placed.toSorted());
  return { placed: placed.length, reported: outcomes.size };
}

describe("on a Redis Cluster of three primaries", () => {
  test("a fan-out over partitions on several nodes gives every follower one order", async () => {
    const id = await send();
    await completes(id);
    expect(await expectAgreement(id)).toEqual({ placed: FOLLOWERS, reported: FOLLOWERS });
  });

  test("a partition moves to another node while orders are sent, and nothing is lost or doubled", async () => {
    const sent: SignalId[] = [];
    let moving = true;
    const moved = cluster.moveSlotOf(new RegionKeys(0).jobs("desk")).finally(() => {
      moving = false;
    });
    while (moving || sent.length < 3) sent.push(await send());
    await moved;
    await cluster.whole();
    for (const id of sent) {
      await completes(id);
      expect(await expectAgreement(id)).toEqual({ placed: FOLLOWERS, reported: FOLLOWERS });
    }
  });

  test("a primary is killed in the middle of fan-outs: its replica takes over and nothing is doubled", async () => {
    const sends = Promise.allSettled(Array.from({ length: 10 }, send));
    await cluster.killPrimaryOf(new RegionKeys(0).jobs("desk"));
    const sent = (await sends).flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    expect(sent.length).toBeGreaterThan(0);
    let whole = 0;
    for (const id of sent) {
      // Writes that the primary had acknowledged and not replicated are lost; such a signal never
      // completes.
      const complete = await completes(id, DEADLINE_MS).catch(() => false);
      if (!complete) continue;
      whole += 1;
      expect(await expectAgreement(id)).toMatchObject({ reported: FOLLOWERS });
    }
    console.log(`${whole} of ${sent.length} signals under way were complete after the failover`);

    const next = await send();
    await completes(next);
    expect(await expectAgreement(next)).toEqual({ placed: FOLLOWERS, reported: FOLLOWERS });
  });
});

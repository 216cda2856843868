/**
 * A region's primary dies before its replica was sent any of a partition's
 * roster: all of it is gone, without a message. The first job that names it
 * waits while the records rebuild it; everyone ends in an outcome.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { exportJWK, generateKeyPair } from "jose";
import type { SignalId } from "../../domain/ids.ts";
import { RegionKeys } from "../../redis/keys.ts";
import type { Records } from "../../workers/records/port.ts";
import { openSqliteRecords } from "../../workers/records/sqlite/open.ts";
import { startCluster, type TestCluster } from "../support/cluster.ts";
import {
  CHANNEL,
  followerOf,
  PARTITIONS,
  PROVIDER,
  readOutcomes,
  startCopier,
  type Copier,
} from "../support/copier.ts";
import { startFakeBroker, type FakeBroker } from "../support/fake-broker.ts";
import { freePort } from "../support/ports.ts";
import { startRole, type RoleProcess } from "../support/role.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(120_000);

/** Its slot is on another primary than the signals of the channel. */
const PARTITION = 3;
const FOLLOWERS = Array.from({ length: 24 }, (_, index) => followerOf(index, { broker: "fake" }));
const DEADLINE_MS = 10_000;

let cluster: TestCluster;
let fake: FakeBroker;
let copier: Copier;
let records: Records;
const roles: RoleProcess[] = [];
const folder = mkdtempSync(join(tmpdir(), "fanfare-roster-lost-"));

beforeAll(async () => {
  cluster = await startCluster();
  // A request without an answer on a busy machine is sent again.
  fake = await startFakeBroker({
    deduplicates: "account",
    lookUp: "authoritative",
    validUntil: "enforced",
  });
  const deposit: FakeBroker["deposit"] = (...args) => fake.deposit(...args);
  copier = await startCopier({ redisUrl: cluster.url, deposit }, 0, { deadlineMs: DEADLINE_MS });
  await fake.deposit(
    FOLLOWERS.map(({ account }) => account),
    1_000_000,
  );
  records = openSqliteRecords(folder);
  await records.channels.insert({
    _id: CHANNEL,
    name: "Demo",
    provider: PROVIDER,
    symbols: ["EUR/USD"],
    deadlineMs: DEADLINE_MS,
    version: 1,
    grants: {},
    outbox: false,
  });
  await records.subscriptions.putNewer(
    FOLLOWERS.map(({ id: _id, ...rest }) => ({ _id, ...rest, outbox: true })),
  );
  await cluster.replicated();
  await cluster.detachReplicaOf(new RegionKeys(PARTITION).events);
  const { privateKey } = await generateKeyPair("EdDSA", { extractable: true });
  const env = {
    FANFARE_REDIS_URL: cluster.url,
    FANFARE_PARTITIONS: String(PARTITIONS.count),
    FANFARE_DATA: folder,
    FANFARE_CONSUMER: "one",
    ...fake.env(),
    FANFARE_ISSUER_KEY: JSON.stringify(await exportJWK(privateKey)),
    FANFARE_RECORDS_PORT: String(await freePort()),
  };
  for (const role of ["records", "broker"]) roles.push(await startRole(role, env));
});
afterAll(async () => {
  await Promise.all(roles.map((role) => role.kill()));
  copier.stop();
  await fake.stop();
  await cluster.stop();
  await records.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Outcome → how many followers ended in it, by whether they are of the partition. */
async function endsOf(id: SignalId): Promise<{ there: string[]; elsewhere: string[] }> {
  await until(
    "every copy has an outcome",
    async () => (await copier.progress(id)).status === "complete",
    3 * DEADLINE_MS,
  );
  const outcomes = await readOutcomes(copier.redis, id);
  const [there, elsewhere] = [true, false].map((isThere) =>
    FOLLOWERS.filter(
      ({ account }) => (PARTITIONS.ofAccount(account) === PARTITION) === isThere,
    ).map((follower) => (outcomes.get(follower.id) ?? ["nothing"]).join()),
  ) as [string[], string[]];
  return { there: [...new Set(there)], elsewhere: [...new Set(elsewhere)] };
}

test("a roster that is gone with its primary is rebuilt while the next job waits: all are skipped there, and copied again from the next signal on", async () => {
  const before = await copier.send();
  expect(await endsOf(before)).toEqual({ there: ["placed"], elsewhere: ["placed"] });
  await cluster.killPrimaryOf(new RegionKeys(PARTITION).events);
  const rows = new RegionKeys(PARTITION).rosterShard(CHANNEL, "fake", 0);
  expect(await copier.redis.send("EXISTS", [rows])).toBe(0);

  // The worker still has the roster in memory; it must not place by it what the region no longer knows.
  const next = await copier.send();
  expect(await endsOf(next)).toEqual({ there: ["skipped: FAULT"], elsewhere: ["placed"] });
  expect(await endsOf(await copier.send())).toEqual({ there: ["placed"], elsewhere: ["placed"] });
});

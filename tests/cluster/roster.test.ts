/** The roster check on a real Redis Cluster, whose keys are on several nodes. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { HomeKeys } from "../../redis/keys.ts";
import { parseRoutes } from "../../redis/route.ts";
import { openConnections, type OpenConnections } from "../../workers/runtime/connections.ts";
import type { Records } from "../../workers/records/port.ts";
import { openSqliteRecords } from "../../workers/records/sqlite/open.ts";
import { checkRoster } from "../../workers/copier/roster/check.ts";
import { targetsOf, type Targets } from "../../workers/copier/roster/projector.ts";
import { startCluster, type TestCluster } from "../support/cluster.ts";
import {
  CHANNEL,
  followerOf,
  openChannel,
  PARTITIONS,
  PROVIDER,
  subscribe,
} from "../support/copier.ts";

setDefaultTimeout(60_000);

let cluster: TestCluster;
let connections: OpenConnections;
let targets: Targets;
let records: Records;
const folder = mkdtempSync(join(tmpdir(), "fanfare-cluster-roster-"));

beforeAll(async () => {
  cluster = await startCluster();
  connections = await openConnections({
    FANFARE_REDIS_URL: cluster.url,
    FANFARE_PARTITIONS: 4,
    FANFARE_REGION: "local",
  });
  targets = targetsOf(connections);
  records = openSqliteRecords(folder);
});
afterAll(async () => {
  connections.close();
  await records.close();
  await cluster.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("a membership that the records do not know is ended, on any node", async () => {
  await records.channels.insert({
    _id: CHANNEL,
    name: "Demo",
    provider: PROVIDER,
    symbols: [],
    deadlineMs: 1_000,
    version: 1,
    grants: {},
    outbox: false,
  });
  await openChannel(targets.home);
  const orphans = Array.from({ length: 40 }, (_, index) => followerOf(index));
  await subscribe(targets.home, orphans);
  const partitions = new Set(orphans.map(({ account }) => PARTITIONS.ofAccount(account)));
  expect(partitions.size).toBe(PARTITIONS.count);

  expect(await checkRoster(records, targets)).toMatchObject({ left: orphans.length });
  const key = new HomeKeys(PARTITIONS.ofChannel(CHANNEL)).routes(CHANNEL);
  const routes = (await targets.home.send("HGETALL", [key])) as Record<string, string>;
  // An empty shard is not a route of a signal.
  expect(parseRoutes(Object.entries(routes).flat())).toEqual([]);
  expect(await checkRoster(records, targets)).toMatchObject({ left: 0, rerouted: 0 });
});

/** Every process compares the format of its Redis with its settings before it does anything. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { exportJWK, generateKeyPair } from "jose";
import { signalIdIn } from "../../domain/ids.ts";
import { accept } from "../../redis/accept.ts";
import { route } from "../../redis/route.ts";
import { DeskKeys } from "../../workers/desk/stored/keys.ts";
import { formatKey, HomeKeys } from "../../redis/keys.ts";
import { connectRedis } from "../../workers/runtime/redis-client.ts";
import { run as runScript, type Redis } from "../../workers/runtime/redis.ts";
import { CHANNEL, HOME, openChannel, PARTITIONS, PROVIDER } from "../support/copier.ts";
import { markFilled, startRedis, type TestRedis } from "../support/redis.ts";
import { startRole } from "../support/role.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(60_000);

const SIZE = { stakeCents: 500, durationSeconds: 60 };
const SET_TO_8 =
  "its data are in 8 partitions, and this process is set for 4: set FANFARE_PARTITIONS to 8";

let home: TestRedis;
let far: TestRedis;
let client: Redis;
let farClient: Redis;
let env: Readonly<Record<string, string>>;
const data = mkdtempSync(join(tmpdir(), "fanfare-format-"));

beforeAll(async () => {
  [home, far] = await Promise.all([
    startRedis({ appendOnly: true, durability: "always" }),
    startRedis({ appendOnly: true, durability: "always" }),
  ]);
  client = connectRedis(home.url);
  farClient = connectRedis(far.url);
  const { privateKey } = await generateKeyPair("EdDSA", { extractable: true });
  env = {
    FANFARE_REDIS_URL: home.url,
    FANFARE_DATA: data,
    FANFARE_DESK_TOKEN: "a-token-of-this-test",
    FANFARE_SEAL_KEY: Buffer.alloc(32, 7).toString("base64url"),
    FANFARE_ISSUER_KEY: JSON.stringify(await exportJWK(privateKey)),
  };
});
afterAll(async () => {
  client.close();
  farClient.close();
  await Promise.all([home.stop(), far.stop()]);
  rmSync(data, { recursive: true, force: true });
});
beforeEach(async () => {
  await Promise.all([client.send("FLUSHALL", []), farClient.send("FLUSHALL", [])]);
});

async function run(
  words: readonly string[],
  more: Readonly<Record<string, string>> = {},
): Promise<{ code: number; out: string; err: string }> {
  const child = Bun.spawn([process.execPath, ...words], {
    env: { ...process.env, ...env, ...more },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, out, err };
}

async function setUp(redis: Redis, partitions: number, version = "1"): Promise<void> {
  for (let partition = 0; partition < partitions; partition += 1) {
    const fields = ["version", version, "partitions", String(partitions)];
    await redis.send("HSET", [formatKey(partition), ...fields]);
  }
}

const ROLES = ["broker", "desk", "settle", "dispatch", "recorder", "records", "quotes", "audit"];
const COMMANDS: readonly (readonly string[])[] = [
  ["workers/commands/main.ts", "roster:rebuild"],
  ["workers/commands/main.ts", "seed"],
  ["workers/commands/main.ts", "control", "halt", "platform"],
  ["workers/commands/main.ts", "settings", "platform", '{"plan":{},"paused":true}'],
  ["workers/commands/main.ts", "reconcile"],
  ["workers/commands/main.ts", "desk:prove"],
  ["workers/commands/main.ts", "desk:restore"],
  ["workers/commands/main.ts", "desk:workload", import.meta.path],
];

describe("a Redis of another number of partitions", () => {
  test.each(
    [...ROLES.map((role) => ["workers/main.ts", role]), ...COMMANDS].map((words) => [words]),
  )("ends %p with 2 and one line that says what to do, and is not written to", async (words) => {
    await setUp(client, 8);
    const { code, err } = await run(words, { FANFARE_PARTITIONS: "4" });
    // A role first logs its settings.
    expect(err.trim().split("\n").at(-1)).toContain(SET_TO_8);
    expect(code).toBe(2);
    expect(await client.send("DBSIZE", [])).toBe(8);
  });

  test("ends a process also if only a region has it, or if its format is newer", async () => {
    const regions = { FANFARE_REGION_REDIS_URLS: JSON.stringify({ far: far.url }) };
    await setUp(client, 4);
    await setUp(farClient, 8);
    for (const words of [
      ["workers/main.ts", "dispatch"],
      ["workers/main.ts", "recorder"],
      ["workers/commands/main.ts", "roster:rebuild"],
      ["workers/commands/main.ts", "control", "status"],
    ]) {
      const { code, err } = await run(words, regions);
      expect([code, err]).toEqual([2, expect.stringContaining(`Redis (region far): ${SET_TO_8}`)]);
    }
    await setUp(client, 4, "2");
    const newer = await run(["workers/main.ts", "settle"], {});
    expect(newer).toMatchObject({ code: 2, err: expect.stringContaining("format version 2") });
  });
});

test("of two that start at once on a new Redis with different numbers, one works and one ends", async () => {
  const started = await Promise.allSettled(
    ["4", "8"].map((count) => startRole("settle", { ...env, FANFARE_PARTITIONS: count })),
  );
  const working = started.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  expect(working).toHaveLength(1);
  expect(started.find(({ status }) => status === "rejected")).toMatchObject({
    reason: { message: expect.stringContaining("this process is set for") },
  });
  const { partitions } = (await client.send("HGETALL", [formatKey(0)])) as Record<string, string>;
  expect(await client.send("DBSIZE", [])).toBe(Number(partitions));
  await working[0]!.stop();
});

describe("without a setting", () => {
  test("a halt is written to every partition of home and region", async () => {
    await setUp(client, 8);
    await setUp(farClient, 8);
    const regions = { FANFARE_REGION_REDIS_URLS: JSON.stringify({ far: far.url }) };
    const { code, out } = await run(
      ["workers/commands/main.ts", "control", "halt", "platform"],
      regions,
    );
    expect([code, out]).toEqual([0, expect.stringContaining("16 of 16 partitions confirmed")]);
    expect(await client.send("HGET", [new HomeKeys(7).halts, "platform"])).toBe("halt");
  });

  test("a region that does not answer does not stop a halt in the others", async () => {
    await setUp(client, 8);
    await far.kill();
    const regions = { FANFARE_REGION_REDIS_URLS: JSON.stringify({ far: far.url }) };
    const { code, out, err } = await run(
      ["workers/commands/main.ts", "control", "halt", "platform"],
      regions,
    );
    expect([code, out]).toEqual([1, expect.stringContaining("8 of 16 partitions confirmed")]);
    expect(err).toContain("region far, partition 7");
    await far.restart();
  });

  test("the proof of the desk's books reads every partition", async () => {
    await setUp(client, 8);
    await client.send("HSET", [new DeskKeys(7).balances, "alice", "100"]);
    const { code, out } = await run(["workers/commands/main.ts", "desk:prove"]);
    expect(code).toBe(1);
    expect(out).toContain("alice: the audit adds up to 0 cents, the balance is 100");
  });
});

describe("a Redis that does not answer", () => {
  test("at the start is waited for, and checked when it comes", async () => {
    await setUp(client, 4);
    await home.kill();
    let isUp = false;
    const started = startRole("settle", env).then((role) => {
      isUp = true;
      return role;
    });
    const { exited } = Bun.spawn([process.execPath, "workers/main.ts", "settle"], {
      env: { ...process.env, ...env, FANFARE_PARTITIONS: "8" },
      stdout: "ignore",
      stderr: "ignore",
    });
    // Long enough for both to have begun; no guarantee depends on it.
    await until("a process without Redis is there", () => !isUp);
    await home.restart();
    expect(await exited).toBe(2);
    const role = await started;
    expect(await role.stop()).toBe(0);
  });

  test("does not keep a process from stopping", async () => {
    await home.kill();
    const child = Bun.spawn([process.execPath, "workers/main.ts", "settle"], {
      env: { ...process.env, ...env },
      stdout: "ignore",
      stderr: "pipe",
    });
    const waits = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
    await until("it waits", async () => {
      const { value = "", done } = await waits.read();
      return done || value.includes("does not answer yet");
    });
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    await home.restart();
  });

  test.each(["dispatch", "recorder"])(
    "in one region: the %s role works for the others, and sends it nothing if it differs",
    async (name) => {
      await setUp(farClient, 8);
      await far.kill();
      // Work for that region already waits.
      await markFilled(client);
      await openChannel(client);
      const where = { region: "far", broker: "desk", partition: 0, shard: 0 };
      const routes = [{ ...where, version: 1, count: 1 }];
      await runScript(client, route, { home: HOME, channel: CHANNEL, routes });
      const accepted = await runScript(client, accept, {
        id: signalIdIn(PARTITIONS.ofChannel(CHANNEL), "0".repeat(32)),
        home: HOME,
        signal: { channel: CHANNEL, symbol: "EUR/USD", contract: "CALL", ...SIZE },
        sender: PROVIDER,
        idempotencyKey: "one",
        bodySha256: "0".repeat(64),
      });
      const regions = JSON.stringify({ here: home.url, far: far.url });
      const role = await startRole(name, { ...env, FANFARE_REGION_REDIS_URLS: regions });
      await until("it works for the others", async () => {
        return (await client.send("EXISTS", [HOME.links])) === 1;
      });
      // By then the dispatcher has tried, because it waits a fifth of a second for an edge.
      const triedAtMs = "acceptance" in accepted ? accepted.acceptance.acceptedAtMs + 1_000 : 0;
      await until("it has tried that one, too", () => Date.now() > triedAtMs);
      await far.restart();
      expect(await role.exited).toBe(2);
      expect(await farClient.send("DBSIZE", [])).toBe(8);
    },
  );
});

/** The demo data after the seed: in real records, at the real desk, on a real Redis. */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "bun:test";
import { compactDecrypt } from "jose";
import { asId, type ChannelId, type HookId } from "../../../domain/ids.ts";
import { HomeKeys, hookKey, PartitionMap } from "../../../redis/keys.ts";
import { runCommand } from "../../../tests/support/command.ts";
import { freePort } from "../../../tests/support/ports.ts";
import { startRole } from "../../../tests/support/role.ts";
import { startRedis } from "../../../tests/support/redis.ts";
import { openRecords } from "../../records/open.ts";
import { connectRedis } from "../../runtime/redis-client.ts";
import { standardSecret } from "./hooks.ts";
import type { DemoSecrets } from "./secrets.ts";

const SEAL_KEY = Buffer.alloc(32, 7);
const TOKEN = "a-token-of-the-copier";

const folder = mkdtempSync(join(tmpdir(), "fanfare-seed-"));
const server = await startRedis();
const redis = connectRedis(server.url);
const port = String(await freePort());
const deskUrl = `http://127.0.0.1:${port}`;
const settings = {
  FANFARE_REDIS_URL: server.url,
  FANFARE_DATA: folder,
  FANFARE_DESK_PORT: port,
  FANFARE_DESK_URL: deskUrl,
  FANFARE_DESK_TOKEN: TOKEN,
  FANFARE_SEAL_KEY: SEAL_KEY.toString("base64url"),
};
const partitions = new PartitionMap(4);
const desk = await startRole("desk", settings);
const records = await openRecords({ FANFARE_DATA: folder });

afterAll(async () => {
  await desk.stop();
  await records.close();
  redis.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("a thousand followers are recorded, funded and routed, however often it is seeded", async () => {
  for (const _ of ["first", "again"]) {
    await seed();
    const [stakes] = await records.subscriptions.group({
      where: { channel: "demo", state: "active" },
      by: [],
    });
    expect(stakes?.count).toBe(1_000);
    for await (const { plan, version } of records.subscriptions.each({ channel: "demo" })) {
      const stakeCents = plan.sizing?.kind === "fixed" ? plan.sizing.stakeCents : 0;
      expect(stakeCents).toBeWithin(100, 501);
      expect(version).toBe(1);
    }
    expect(await balanceCents("demo-acct-0001")).toBe(1_000_000);
    expect(await balanceCents("demo-acct-1000")).toBe(1_000_000);
    expect(await routed()).toBe(1_000);
    expect(await balanceCents("daytrader")).toBe(1_000_000);
  }
});

test("only their owner can read the secrets, and the hooks use them", async () => {
  const path = join(folder, "demo.json");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const { email, password, hookSecret } = (await Bun.file(path).json()) as DemoSecrets;
  const [provider] = await records.people.find({ where: { email } });
  expect(await Bun.password.verify(password, provider?.passwordHash ?? "")).toBe(true);
  const tv = await hook("demo-tv");
  expect(tv["secretSha256"]).toBe(new Bun.CryptoHasher("sha256").update(hookSecret).digest("hex"));
  const std = await hook("demo-std");
  const { plaintext } = await compactDecrypt(String(std["sealedSecret"]), SEAL_KEY);
  expect(new TextDecoder().decode(plaintext)).toBe(standardSecret(hookSecret));
  expect([tv["version"], std["version"]]).toEqual([1, 1]);
});

test("another secret replaces both hooks, and a follower's own changes stay", async () => {
  const changed = await records.subscriptions.get("demo-sub-0001");
  if (!changed) throw new Error("not seeded");
  await records.subscriptions.putNewer([{ ...changed, state: "left", version: 2, outbox: true }]);
  await seed({ FANFARE_DEMO_HOOK_SECRET: "another-secret-of-the-hooks" });
  expect([(await hook("demo-tv"))["version"], (await hook("demo-std"))["version"]]).toEqual([2, 2]);
  expect(await records.subscriptions.get("demo-sub-0001")).toMatchObject({ state: "left" });
  expect(await routed()).toBe(999);
});

async function seed(more: Readonly<Record<string, string>> = {}): Promise<void> {
  expect(
    await runCommand(["workers/commands/main.ts", "seed"], { ...settings, ...more }),
  ).toMatchObject({ code: 0 });
}

async function balanceCents(account: string): Promise<number> {
  const answer = await fetch(`${deskUrl}/v1/accounts/${account}`, {
    headers: { authorization: `Bearer ${TOKEN}` },
  });
  return ((await answer.json()) as { balanceCents: number }).balanceCents;
}

async function routed(): Promise<number> {
  const channel = asId<ChannelId>("demo");
  const keys = new HomeKeys(partitions.ofChannel(channel));
  const routes = (await redis.send("HVALS", [keys.routes(channel)])) as string[];
  return routes.reduce((sum, value) => sum + Number(value.split(",")[1]), 0);
}

async function hook(id: string): Promise<Record<string, unknown>> {
  const stored = (await redis.send("GET", [hookKey(asId<HookId>(id), partitions)])) as
    string | null;
  return JSON.parse(stored ?? "{}") as Record<string, unknown>;
}

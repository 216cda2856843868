import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RedisClient, type Subprocess } from "bun";
import { until } from "../tests/support/wait.ts";
import { openKeys } from "./keys.ts";
import { noteProcesses, stopLeftovers } from "./leftovers.ts";
import { takeLock } from "./lock.ts";
import { prepareRedis, type LocalRedis } from "./redis.ts";

let data: string;
const children: Subprocess[] = [];

beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), "fanfare-leftovers-"));
});

afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
  rmSync(data, { recursive: true, force: true });
});

const ready = { state: "ready", restarts: 0, sinceMs: 0 } as const;

function spawn(command: readonly string[]): Subprocess {
  const child = Bun.spawn([...command], { stdin: "pipe", stdout: "ignore", stderr: "ignore" });
  children.push(child);
  return child;
}

async function launch(): Promise<{ redis: LocalRedis; child: Subprocess }> {
  const redis = await prepareRedis({ data, durability: "everysec", password: "a-password" });
  const child = spawn(redis.service.command);
  await until("Redis answers", () => redis.service.serves?.());
  return { redis, child };
}

test("an orphaned Redis is stopped cleanly, and the next one has its port and its data", async () => {
  const before = await launch();
  const client = new RedisClient(before.redis.url);
  await client.set("kept", "value");
  client.close();
  noteProcesses(data, [{ name: "redis", pid: before.child.pid, ...ready }]);

  const said: string[] = [];
  await stopLeftovers(data, (line) => said.push(line));
  // 0 means Redis' own shutdown, with everything written.
  expect(await before.child.exited).toBe(0);
  expect(said).toHaveLength(1);

  const after = await launch();
  expect(after.redis.url).toBe(before.redis.url);
  const again = new RedisClient(after.redis.url);
  expect(await again.get("kept")).toBe("value");
  again.close();
});

test("a noted process id that belongs to another program now is not killed", async () => {
  const stranger = spawn(["sleep", "60"]);
  noteProcesses(data, [
    { name: "redis", pid: stranger.pid, ...ready },
    { name: "broker", pid: stranger.pid, ...ready },
  ]);
  await stopLeftovers(data, () => undefined);
  expect(stranger.exitCode).toBeNull();
});

test("Redis does not answer without its password, and its configuration is the owner's alone", async () => {
  const { redis } = await launch();
  const stranger = new RedisClient(`redis://127.0.0.1:${new URL(redis.url).port}`, {
    autoReconnect: false,
  });
  await expect(stranger.get("kept")).rejects.toThrow();
  stranger.close();
  expect(statSync(join(data, "redis/redis.conf")).mode & 0o777).toBe(0o600);
});

test("a process stops when its supervisor is gone, however that ended", async () => {
  const note = join(data, "noted");
  const child = join(data, "child.ts");
  const parent = join(data, "parent.ts");
  writeFileSync(
    child,
    `process.on("SIGTERM", async () => { await Bun.write("${note}", "drained"); process.exit(0); });
     setInterval(() => {}, 1000); console.log("ready");`,
  );
  writeFileSync(
    parent,
    `const child = Bun.spawn(
       [process.execPath, "--preload", "${join(import.meta.dir, "orphan.ts")}", "${child}"],
       { stdin: "pipe", stdout: "pipe", detached: true });
     for await (const text of child.stdout) await Bun.write("${note}", String(child.pid));`,
  );
  const supervisor = spawn([process.execPath, parent]);
  const read = async () => ((await Bun.file(note).exists()) ? await Bun.file(note).text() : "");
  await until("the child runs", async () => (await read()) !== "");
  supervisor.kill("SIGKILL");
  await until("the child drained", async () => (await read()) === "drained");
});

test("one data folder has one supervisor; the next one after a crash knows of the crash", () => {
  const first = takeLock(data);
  if (!first.ok) throw new Error("the lock was free");
  expect(first.afterCrash).toBe(false);
  expect(takeLock(data)).toEqual({ ok: false, pid: String(process.pid) });
  first.release();
  const second = takeLock(data);
  expect(second).toMatchObject({ ok: true, afterCrash: false });
  if (second.ok) second.release();
  // A killed supervisor leaves its note, and no lock.
  writeFileSync(join(data, "supervisor.pid"), "1\n");
  const third = takeLock(data);
  expect(third).toMatchObject({ ok: true, afterCrash: true });
  if (third.ok) third.release();
});

test("the secrets are created once, readable by their owner only", async () => {
  const keys = await openKeys(data);
  expect(await openKeys(data)).toEqual(keys);
  expect(statSync(join(data, "keys.json")).mode & 0o777).toBe(0o600);
});

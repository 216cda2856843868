/** A real Redis for one test, on a free port, in its own folder. */
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RedisClient, type Subprocess } from "bun";
import { PARTS } from "../../redis/filled.ts";
import { formatKey } from "../../redis/keys.ts";
import { CLOCK_SKEW_MS } from "../../workers/copier/stored/run.ts";
import type { Redis } from "../../workers/runtime/redis.ts";
import { freePort } from "./ports.ts";
import { noting, notedBytes } from "./synced/build.ts";
import { until } from "./wait.ts";

export interface TestRedis {
  readonly url: string;
  readonly port: number;
  /**
   * `kill -9`: what it has written is kept for `restart`. Under `everysec` that is not everything
   * that it acknowledged, because a write waits during a sync, for two seconds if the disk is slow.
   */
  kill(): Promise<void>;
  /** The same port and data again. */
  restart(): Promise<void>;
  /** SIGSTOP: connected, but without answers. */
  pause(): void;
  resume(): void;
  /**
   * The length of the append-only file, and for a killed Redis, the part to keep: the rest was
   * never synced.
   */
  appendedBytes(): number;
  cutTo(bytes: number): void;
  /** How much of the file was synced, if that is noted: a power cut may lose the rest. */
  syncedBytes(): number;
  stop(): Promise<void>;
}

/** Empties the Redis and marks it as filled. For tests that share a Redis; a test of data loss flushes it instead. */
export async function clear(redis: Pick<Redis, "send">): Promise<void> {
  await redis.send("FLUSHALL", []);
  await markFilled(redis);
}

/**
 * Waits until a running Redis is old enough for a test: a signal from around the start of its Redis
 * counts as possibly sent, and the broker is asked about it first.
 */
export async function untilOldEnough(): Promise<void> {
  const startedMs = Date.now();
  await until("Redis has run for a while", () => Date.now() > startedMs + 2 * CLOCK_SKEW_MS);
}

interface How {
  readonly appendOnly?: boolean;
  readonly durability?: "everysec" | "always";
  /** Needs `canNoteSyncs()`. */
  readonly noteSyncs?: boolean;
  /** False for one that the records role is to fill, as it must every new one. */
  readonly filled?: boolean;
}

/** What the records role says of a Redis that it has filled: here the test fills it itself. */
export async function markFilled(redis: Pick<Redis, "send">, sinceMs = 1): Promise<void> {
  for (let partition = 0; partition < 8; partition += 1) {
    const marks = [...PARTS, "desk"].flatMap((part) => [`${part}SinceMs`, String(sinceMs)]);
    await redis.send("HSET", [formatKey(partition), ...marks]);
  }
}

export async function startRedis({
  appendOnly = false,
  durability = "everysec",
  noteSyncs = false,
  filled = true,
}: How = {}): Promise<TestRedis> {
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), "fanfare-redis-"));
  const note = join(dir, "synced");
  let child: Subprocess;
  let keptBytes = 0;

  async function launch(): Promise<void> {
    child = Bun.spawn(
      [
        "redis-server",
        "--port",
        String(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        dir,
        "--save",
        "",
        "--appendonly",
        appendOnly ? "yes" : "no",
        "--appendfsync",
        durability,
      ],
      {
        env: { ...process.env, ...(noteSyncs ? noting(note) : {}) },
        stdout: "ignore",
        stderr: "ignore",
      },
    );
    await answers(port);
  }

  async function kill(): Promise<void> {
    child.kill("SIGKILL");
    await child.exited;
  }

  await launch();
  if (filled) {
    const client = new RedisClient(`redis://127.0.0.1:${port}`);
    await markFilled(client);
    client.close();
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    kill,
    restart: launch,
    pause() {
      child.kill("SIGSTOP");
    },
    resume() {
      child.kill("SIGCONT");
    },
    appendedBytes: () => statSync(appendOnlyFile(dir)).size,
    cutTo(bytes) {
      truncateSync(appendOnlyFile(dir), bytes);
      rmSync(note, { force: true });
      keptBytes = bytes;
    },
    syncedBytes: () => Math.max(keptBytes, notedBytes(note)),
    async stop() {
      await kill();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function appendOnlyFile(dir: string): string {
  const name = readdirSync(join(dir, "appendonlydir")).find((each) => each.endsWith(".incr.aof"));
  if (name === undefined) throw new Error("no append-only file");
  return join(dir, "appendonlydir", name);
}

async function answers(port: number): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const client = new RedisClient(`redis://127.0.0.1:${port}`, { autoReconnect: false });
    try {
      await client.connect();
      await client.send("PING", []);
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await Bun.sleep(20);
    } finally {
      client.close();
    }
  }
}

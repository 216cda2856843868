/**
 * The Redis of one machine, as a supervised service: on loopback, behind a password, with an
 * append-only file that is kept, and on its earlier port if that is still free.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { RedisClient } from "bun";
import { freePort, isFree } from "./ports.ts";
import type { Service } from "./process.ts";

export interface LocalRedis {
  /** With its password: never shown. */
  readonly url: string;
  readonly port: number;
  readonly service: Service;
}

export async function prepareRedis(options: {
  readonly data: string;
  readonly durability: "everysec" | "always";
  readonly password: string;
}): Promise<LocalRedis> {
  const dir = join(options.data, "redis");
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const port = await choosePort(dir);
  const configuration = join(dir, "redis.conf");
  // In a file and not on the command line, which every user of the machine can read.
  writeFileSync(
    configuration,
    [
      `port ${port}`,
      "bind 127.0.0.1",
      "protected-mode yes",
      `requirepass ${options.password}`,
      `dir "${dir}"`,
      "appendonly yes",
      `appendfsync ${options.durability}`,
      // In a larger list, searching for a user costs more than the memory of a table.
      "hash-max-listpack-entries 32",
      'save ""',
      // Full memory causes visible errors, not lost keys.
      "maxmemory-policy noeviction",
      "",
    ].join("\n"),
    { mode: 0o600 },
  );
  const url = `redis://default:${options.password}@127.0.0.1:${port}`;
  return {
    url,
    port,
    service: {
      name: "redis",
      command: ["redis-server", configuration],
      env: { PATH: process.env["PATH"] ?? "" },
      serves: () => answers(url),
    },
  };
}

async function choosePort(dir: string): Promise<number> {
  const note = join(dir, "port");
  const before = existsSync(note) ? Number(readFileSync(note, "utf8")) : 0;
  const port = before > 0 && (await isFree(before, "127.0.0.1")) ? before : await freePort();
  writeFileSync(note, String(port));
  return port;
}

/** False while it still loads its data. */
async function answers(url: string): Promise<boolean> {
  const client = new RedisClient(url, { autoReconnect: false, connectionTimeout: 1_000 });
  try {
    await client.connect();
    return (await client.send("PING", [])) === "PONG";
  } catch {
    // Not started yet; it is asked again.
    return false;
  } finally {
    client.close();
  }
}

/** A real Redis Cluster for one test on loopback: three primaries, each with a replica. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { connectRedis } from "../../workers/runtime/redis-client.ts";
import { freePort } from "./ports.ts";
import { markFilled } from "./redis.ts";
import { until } from "./wait.ts";

const NODES = 6;
const NODE_TIMEOUT_MS = 1_500;

export interface TestCluster {
  /** `redis-cluster://…` */
  readonly url: string;
  /**
   * Resolves once every replica has what its primary had acknowledged when this was called. In the
   * first second of a replica's life its primary may send it nothing, though both call it online.
   */
  replicated(): Promise<void>;
  /** From now on the replica of a key's primary receives no writes. */
  detachReplicaOf(key: string): Promise<void>;
  /** Kills a key's primary for good, and resolves once its replica has taken over. */
  killPrimaryOf(key: string): Promise<void>;
  /** Resolves once every slot is served again. */
  whole(): Promise<void>;
  /** Moves a key's slot to another primary while it is in use. */
  moveSlotOf(key: string): Promise<void>;
  stop(): Promise<void>;
}

interface Node {
  readonly port: number;
  readonly child: Subprocess;
  alive: boolean;
}

export async function startCluster(): Promise<TestCluster> {
  const dir = mkdtempSync(join(tmpdir(), "fanfare-cluster-"));
  const nodes: Node[] = [];
  for (let index = 0; index < NODES; index += 1) nodes.push(await launch(dir));
  await until("every node answers", () => everyAnswers(nodes, dir), 30_000);
  const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
  await cli(["--cluster", "create", ...addresses, "--cluster-replicas", "1", "--cluster-yes"]);
  const ask = (port: number, ...command: string[]) => cli(["-p", String(port), ...command]);
  const anyAlive = (): number => nodes.find(({ alive }) => alive)?.port ?? 0;

  async function whole(): Promise<void> {
    await until(
      "every slot is served",
      async () => {
        const infos = await Promise.all(
          nodes.filter(({ alive }) => alive).map(({ port }) => ask(port, "CLUSTER", "INFO")),
        );
        return infos.every(
          (info) => info.includes("cluster_state:ok") && info.includes("cluster_slots_fail:0"),
        );
      },
      30_000,
    );
  }

  async function findSlot(key: string): Promise<number> {
    return Number((await ask(anyAlive(), "CLUSTER", "KEYSLOT", key)).trim());
  }

  /** The primaries with their ids, and whether they serve the slot. */
  async function primaries(slot: number): Promise<{ port: number; id: string; serves: boolean }[]> {
    const table = await ask(anyAlive(), "CLUSTER", "NODES");
    return table
      .trim()
      .split("\n")
      .map((line) => line.split(" "))
      .filter(([, , flags = ""]) => flags.includes("master") && !flags.includes("fail"))
      .map(([id = "", address = "", , , , , , , ...ranges]) => ({
        id,
        port: Number(/:(\d+)@/.exec(address)?.[1]),
        serves: ranges.some((range) => {
          const [from = Number.NaN, to = from] = range.split("-").map(Number);
          return from <= slot && slot <= to;
        }),
      }));
  }

  async function replicated(): Promise<void> {
    for (const { port } of nodes) {
      const infoOf = () => ask(port, "INFO", "replication");
      // By its own word, as others may not have heard of its role yet.
      const [, role, offset] = /role:(\w+)[^]*master_repl_offset:(\d+)/.exec(await infoOf()) ?? [];
      if (role !== "master") continue;
      await until(
        "its replica has as much",
        async () => {
          const replica = /slave0:.*state=online,offset=(\d+)/.exec(await infoOf());
          return Number(replica?.[1]) >= Number(offset);
        },
        30_000,
      );
    }
  }

  await whole();
  await replicated();
  const [first = "", ...others] = addresses;
  const url = `redis-cluster://${first}?nodes=${others.join(",")}`;
  const client = connectRedis(url);
  await markFilled(client);
  client.close();
  return {
    url,
    whole,
    replicated,
    async detachReplicaOf(key) {
      const slot = await findSlot(key);
      const { port = 0 } = (await primaries(slot)).find(({ serves }) => serves) ?? {};
      // It can only continue with a full copy, which does not begin in time.
      await ask(port, "CONFIG", "SET", "repl-diskless-sync-delay", "3600");
      await ask(port, "DEBUG", "CHANGE-REPL-ID");
      await ask(port, "CLIENT", "KILL", "TYPE", "replica");
    },
    async killPrimaryOf(key) {
      const slot = await findSlot(key);
      const primary = (await primaries(slot)).find(({ serves }) => serves);
      const node = nodes.find(({ port }) => port === primary?.port);
      if (!node) throw new Error("no node serves the key");
      node.alive = false;
      node.child.kill("SIGKILL");
      await node.child.exited;
      await until(
        "its replica has taken over",
        async () => {
          const serving = (await primaries(slot)).find(({ serves }) => serves);
          return serving !== undefined && serving.port !== node.port;
        },
        30_000,
      );
      await whole();
    },
    async moveSlotOf(key) {
      const slot = String(await findSlot(key));
      const all = await primaries(Number(slot));
      const from = all.find(({ serves }) => serves);
      const to = all.find(({ serves }) => !serves);
      if (!from || !to) throw new Error("there is nowhere to move it from or to");
      await ask(to.port, "CLUSTER", "SETSLOT", slot, "IMPORTING", from.id);
      await ask(from.port, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.id);
      for (;;) {
        const keys = (await ask(from.port, "CLUSTER", "GETKEYSINSLOT", slot, "20")).trim();
        if (keys === "") break;
        const target = ["127.0.0.1", String(to.port), "", "0", "5000", "KEYS"];
        await ask(from.port, "MIGRATE", ...target, ...keys.split("\n"));
      }
      for (const { port } of [to, from, ...all]) {
        await ask(port, "CLUSTER", "SETSLOT", slot, "NODE", to.id);
      }
    },
    async stop() {
      for (const { child } of nodes) child.kill("SIGKILL");
      await Promise.all(nodes.map(({ child }) => child.exited));
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function launch(dir: string): Promise<Node> {
  const port = await freePort();
  const child = Bun.spawn(
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
      "--cluster-enabled",
      "yes",
      "--cluster-config-file",
      `nodes-${port}.conf`,
      // The bus would use port + 10000, which another program may use.
      "--cluster-port",
      String(await freePort()),
      "--cluster-node-timeout",
      String(NODE_TIMEOUT_MS),
      // A replica that never caught up with its primary cannot replace it.
      "--repl-diskless-sync-delay",
      "0",
      "--appendonly",
      "yes",
      "--appenddirname",
      `aof-${port}`,
      "--enable-debug-command",
      "local",
    ],
    { stdout: "ignore", stderr: "ignore" },
  );
  return { port, child, alive: true };
}

/** A node that could not start, because one of its ports was taken meanwhile, is replaced. */
async function everyAnswers(nodes: Node[], dir: string): Promise<boolean> {
  for (const [index, { child }] of nodes.entries()) {
    if (child.exitCode !== null) nodes[index] = await launch(dir);
  }
  const answers = await Promise.all(nodes.map(({ port }) => cli(["-p", String(port), "PING"])));
  return answers.every((answer) => answer.trim() === "PONG");
}

async function cli(args: readonly string[]): Promise<string> {
  const child = Bun.spawn(["redis-cli", ...args], { stdout: "pipe", stderr: "ignore" });
  return await new Response(child.stdout).text();
}

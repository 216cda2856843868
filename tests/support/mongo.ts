/**
 * The MongoDB on which the records are tested, the first available of these: the server that
 * MONGODB_URI names; `mongod` on the PATH, as a one-node replica set; mongodb-memory-server's
 * download; mongo-java-server, if there are a JDK and Maven. Prints in one line which one it uses.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MongoClient } from "mongodb";
import { need } from "./needs.ts";
import { freePort } from "./ports.ts";

export interface TestMongo {
  /** With a database of this test's own. */
  readonly uri: string;
  /** Which one is used. */
  readonly took: string;
  readonly host: string;
  readonly port: number;
  /** Absent if the server is not our process. */
  readonly process?: MongoProcess;
  /** The same server with another database. */
  another(): TestMongo;
  stop(): Promise<void>;
}

export interface MongoProcess {
  /** SIGSTOP: connected, but without answers. */
  pause(): void;
  resume(): void;
  /** `kill -9`, and the same port and data again; absent if the data do not survive that. */
  readonly killAndRestart?: () => Promise<void>;
}

interface Server {
  readonly uri: string;
  readonly process?: MongoProcess;
  stop(): Promise<void>;
}

const CANDIDATES: readonly [took: string, start: () => Promise<Server | undefined>][] = [
  ["MONGODB_URI", () => fromEnvironment("MONGODB_URI")],
  ["mongod", fromPath],
  ["mongodb-memory-server", fromDownload],
  ["mongo-java-server", fromMaven],
];

/** Undefined if this machine has none; in CI that is a failure. */
export async function startMongo(): Promise<TestMongo | undefined> {
  return await startFirst(CANDIDATES);
}

/** The server that AUDIT_MONGODB_URI names; otherwise as `startMongo`. */
export async function startAuditMongo(): Promise<TestMongo | undefined> {
  const own = () => fromEnvironment("AUDIT_MONGODB_URI");
  return await startFirst([["AUDIT_MONGODB_URI", own], ...CANDIDATES]);
}

async function startFirst(candidates: typeof CANDIDATES): Promise<TestMongo | undefined> {
  for (const [took, start] of candidates) {
    const server = await start();
    if (!server) continue;
    await answers(server);
    console.log(`records are tested on MongoDB from ${took}`);
    return inOwnDatabase(server, took);
  }
  need("MongoDB", false, "no MONGODB_URI, mongod, download, or JDK and Maven");
  return undefined;
}

/** On a busy machine a server may take longer to start than a worker waits for it. */
async function answers({ uri }: Server): Promise<void> {
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: 60_000 });
  await client.db("admin").command({ ping: 1 });
  await client.close();
}

function inOwnDatabase(server: Server, took: string): TestMongo {
  const uri = new URL(server.uri);
  uri.pathname = `/fanfare-test-${crypto.randomUUID()}`;
  return {
    uri: uri.href,
    took,
    host: uri.hostname,
    port: Number(uri.port === "" ? "27017" : uri.port),
    ...(server.process === undefined ? {} : { process: server.process }),
    another: () => inOwnDatabase({ ...server, stop: async () => {} }, took),
    async stop() {
      const client = new MongoClient(uri.href, { serverSelectionTimeoutMS: 2_000 });
      // The database of a server that the test has stopped or cut off need not be dropped.
      await client
        .db()
        .dropDatabase()
        .catch(() => false);
      await client.close();
      await server.stop();
    },
  };
}

async function fromEnvironment(name: string): Promise<Server | undefined> {
  const uri = process.env[name];
  return uri === undefined || uri === "" ? undefined : { uri, stop: async () => {} };
}

async function fromPath(): Promise<Server | undefined> {
  const mongod = Bun.which("mongod");
  if (mongod === null) return undefined;
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), "fanfare-mongo-"));
  const server = launched(
    [mongod, "--port", String(port), "--bind_ip", "127.0.0.1", "--dbpath", dir, "--replSet", "rs0"],
    port,
    {
      keepsData: true,
      cleanUp() {
        rmSync(dir, { recursive: true, force: true });
      },
    },
  );
  const client = new MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true`);
  try {
    const member = { _id: 0, host: `127.0.0.1:${port}` };
    await client.db("admin").command({ replSetInitiate: { _id: "rs0", members: [member] } });
  } finally {
    await client.close();
  }
  return { ...server, uri: `mongodb://127.0.0.1:${port}/?replicaSet=rs0` };
}

/** An earlier download is used again. If its host cannot be reached, the test does not wait. */
async function fromDownload(): Promise<Server | undefined> {
  const { DryMongoBinary, MongoMemoryReplSet } = await import("mongodb-memory-server-core");
  const kept = await DryMongoBinary.locateBinary(await DryMongoBinary.generateOptions());
  if (kept === undefined && !(await isReachable("https://fastdl.mongodb.org/"))) return undefined;
  try {
    const server = await MongoMemoryReplSet.create({ replSet: { count: 1 } });
    const stop = async (): Promise<void> => {
      await server.stop();
    };
    return { uri: server.getUri(), stop };
  } catch {
    return undefined;
  }
}

async function isReachable(url: string): Promise<boolean> {
  try {
    await fetch(url, { method: "HEAD", signal: AbortSignal.timeout(2_000) });
    return true;
  } catch {
    return false;
  }
}

const JAVA_SOURCE = join(import.meta.dir, "mongo-java");
const JAVA_CACHE = join(import.meta.dir, "../../.cache/mongo-java");

async function fromMaven(): Promise<Server | undefined> {
  const [java, javac, mvn] = [Bun.which("java"), Bun.which("javac"), Bun.which("mvn")];
  if (java === null || javac === null) return undefined;
  if (!existsSync(join(JAVA_CACHE, "Launcher.class"))) {
    if (mvn === null) return undefined;
    const pom = join(JAVA_SOURCE, "pom.xml");
    const fetched =
      succeeds([
        mvn,
        "-q",
        "-B",
        "-f",
        pom,
        "dependency:copy-dependencies",
        `-DoutputDirectory=${JAVA_CACHE}`,
      ]) &&
      succeeds([
        javac,
        "-cp",
        join(JAVA_CACHE, "*"),
        "-d",
        JAVA_CACHE,
        join(JAVA_SOURCE, "Launcher.java"),
      ]);
    if (!fetched) return undefined;
  }
  const port = await freePort();
  const path = `${JAVA_CACHE}:${join(JAVA_CACHE, "*")}`;
  return launched([java, "-Xmx512m", "-cp", path, "Launcher", String(port)], port);
}

function succeeds(command: string[]): boolean {
  return Bun.spawnSync(command, { stdout: "ignore", stderr: "ignore" }).success;
}

function launched(
  command: string[],
  port: number,
  { keepsData = false, cleanUp = (): void => {} } = {},
): Server {
  const launch = () => Bun.spawn(command, { stdin: "pipe", stdout: "ignore", stderr: "ignore" });
  let child = launch();
  async function kill(): Promise<void> {
    child.kill("SIGKILL");
    await child.exited;
  }
  return {
    uri: `mongodb://127.0.0.1:${port}/`,
    process: {
      pause() {
        child.kill("SIGSTOP");
      },
      resume() {
        child.kill("SIGCONT");
      },
      ...(keepsData
        ? {
            async killAndRestart() {
              await kill();
              child = launch();
            },
          }
        : {}),
    },
    async stop() {
      await kill();
      cleanUp();
    },
  };
}

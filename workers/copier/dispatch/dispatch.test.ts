import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { compactVerify, exportJWK, generateKeyPair, type JWK } from "jose";
import { signalIdIn, type SignalId } from "../../../domain/ids.ts";
import type { AcceptedSignal } from "../../../domain/copier/signal.ts";
import type { ChainLink } from "../stored/events.ts";
import { overdue } from "./undispatched.ts";
import { MAX_JOBS_WAITING } from "../../../redis/enqueue.ts";
import { HomeKeys, RegionKeys } from "../../../redis/keys.ts";
import { route, routeField } from "../../../redis/route.ts";
import {
  CHANNEL,
  HOME,
  PARTITIONS,
  startCopier,
  type Copier,
} from "../../../tests/support/copier.ts";
import { startDesk, type TestDesk } from "../../../tests/support/desk.ts";
import { startRedis } from "../../../tests/support/redis.ts";
import { startRole, type RoleProcess } from "../../../tests/support/role.ts";
import { until } from "../../../tests/support/wait.ts";
import { run } from "../../runtime/redis.ts";
import { linkHash } from "./chain.ts";

setDefaultTimeout(20_000);

let desk: TestDesk;
let copier: Copier;
let issuer: JWK;
let publicKey: CryptoKey;
let workers: RoleProcess[] = [];

beforeAll(async () => {
  desk = await startDesk();
  copier = await startCopier(desk, 20);
  const pair = await generateKeyPair("EdDSA", { extractable: true });
  issuer = { ...(await exportJWK(pair.privateKey)), kid: "test" };
  publicKey = pair.publicKey;
});
afterEach(async () => {
  await Promise.all(workers.map((each) => each.stop()));
  workers = [];
});
afterAll(async () => {
  copier.stop();
  await desk.stop();
});

async function startDispatch(
  consumer = "one",
  regions: Readonly<Record<string, string>> = { local: desk.redis.url },
): Promise<RoleProcess> {
  const worker = await startRole("dispatch", {
    ...desk.env,
    FANFARE_REGION_REDIS_URLS: JSON.stringify(regions),
    FANFARE_CONSUMER: consumer,
    FANFARE_ISSUER_KEY: JSON.stringify(issuer),
  });
  workers.push(worker);
  return worker;
}

async function readStream<T>(key: string, field: string): Promise<T[]> {
  const entries = (await copier.redis.send("XRANGE", [key, "-", "+"])) as [string, string[]][];
  return entries.map(([, flat]) => JSON.parse(flat[flat.indexOf(field) + 1] ?? "") as T);
}

const headSequence = async (): Promise<number> => {
  const text = (await copier.redis.send("GET", [HOME.chainHead(CHANNEL)])) as string | null;
  return text === null ? 0 : (JSON.parse(text) as { sequence: number }).sequence;
};

describe("redispatch", () => {
  test("completes a signal whose edge died after the acceptance, each job once (P1)", async () => {
    const id = await copier.send({}, false);
    await startDispatch("one");
    await startDispatch("two");
    await until(
      "nothing waits to be dispatched",
      async () => (await copier.redis.send("ZCARD", [HOME.undispatched])) === 0,
    );
    const jobs = await Promise.all(
      PARTITIONS.all().map((partition) =>
        readStream<AcceptedSignal>(new RegionKeys(partition).jobs("desk"), "signal"),
      ),
    );
    const shards = (await copier.redis.send("HLEN", [HOME.routes(CHANNEL)])) as number;
    expect(jobs.flat().filter((signal) => signal.id === id)).toHaveLength(shards);
  });
});

describe("redispatch where the job streams have no room", () => {
  test("leaves a signal undispatched until there is room, and loses none of its jobs", async () => {
    const full = new RegionKeys(0).jobs("desk");
    const fill = `for i = 1, ${MAX_JOBS_WAITING} do redis.call('XADD', KEYS[1], '*', 'filled', i) end`;
    await copier.redis.send("EVAL", [fill, "1", full]);
    const id = await copier.send({}, false);
    await startDispatch();
    const enqueued = (partition: number) =>
      copier.redis.send("EXISTS", [new RegionKeys(partition).enqueued(id)]);
    await until("the others have their jobs", async () => (await enqueued(1)) === 1);
    expect(await enqueued(0)).toBe(0);
    expect(await copier.redis.send("ZSCORE", [HOME.undispatched, id])).not.toBeNull();
    await copier.redis.send("DEL", [full]);
    await until(
      "nothing waits to be dispatched",
      async () => (await copier.redis.send("ZCARD", [HOME.undispatched])) === 0,
    );
    expect(await enqueued(0)).toBe(1);
  });
});

describe("redispatch while a region is away", () => {
  test.each(["deaf", "gone"] as const)(
    "signals for a region that is %s delay no younger signal, and are completed when it is back",
    async (how) => {
      const region = await startRedis({ appendOnly: true, durability: "always" });
      const dead = { region: "dead", broker: "desk", partition: 0, shard: 0, version: 1, count: 1 };
      await run(copier.redis, route, { home: HOME, channel: CHANNEL, routes: [dead] });
      const stuck: SignalId[] = [];
      for (let index = 0; index < 250; index += 1) stuck.push(await copier.send({}, false));
      await copier.redis.send("HDEL", [HOME.routes(CHANNEL), routeField(dead)]);
      if (how === "deaf") region.pause();
      else await region.kill();
      await startDispatch("one", { local: desk.redis.url, dead: region.url });
      await until("the living region has the jobs of all", async () => {
        const found = await Promise.all(stuck.map(enqueued));
        return found.every(Boolean);
      });
      const younger = await copier.send({}, false);
      const left = () => copier.redis.send("ZCARD", [HOME.undispatched]);
      await until(
        "the younger signal is through",
        async () => (await copier.redis.send("ZSCORE", [HOME.undispatched, younger])) === null,
        5_000,
      );
      expect(await left()).toBe(stuck.length);
      if (how === "deaf") region.resume();
      else await region.restart();
      await until("nothing waits to be dispatched", async () => (await left()) === 0, 15_000);
      await region.stop();
    },
    60_000,
  );

  test("of very many, those that may still be in time are tried as soon as the oldest", async () => {
    const home = new HomeKeys(99);
    const ids = ["a", "b", "c", "d", "e"].map((digit) => signalIdIn(99, digit.repeat(32)));
    const scored = ids.flatMap((id, index) => [String(index), id]);
    await copier.redis.send("ZADD", [home.undispatched, ...scored]);
    const look = (skip: number) => run(copier.redis, overdue, { home, graceMs: 0, skip, limit: 2 });
    const newest = [ids[4], ids[3]] as SignalId[];
    expect(await look(0)).toEqual({ oldest: ids.slice(0, 2), newest });
    expect(await look(2)).toEqual({ oldest: ids.slice(2, 4), newest });
    expect(await look(4)).toEqual({ oldest: ids.slice(4), newest });
    await copier.redis.send("DEL", [home.undispatched]);
  });

  async function enqueued(id: SignalId): Promise<boolean> {
    const keys = PARTITIONS.all().map((each) => new RegionKeys(each).enqueued(id));
    return Number(await copier.redis.send("EXISTS", keys)) > 0;
  }
});

describe("chain", () => {
  test("links every signal in order under a signed head, with several workers of which one is killed (P7)", async () => {
    const doomed = await startDispatch("one");
    await startDispatch("two");
    for (let index = 0; index < 200; index += 1) {
      await copier.send({ stakeCents: index + 1 }, false);
      if (index === 100) await doomed.kill();
    }
    await startDispatch("one");
    const last = Number(await copier.redis.send("HGET", [HOME.channel(CHANNEL), "sequence"]));
    await until("the last signal is linked", async () => (await headSequence()) === last);

    const entries = (await copier.redis.send("XRANGE", [HOME.signals, "-", "+"])) as [
      string,
      string[],
    ][];
    const links = await readStream<ChainLink>(HOME.links, "link");
    expect(links.map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: last }, (_, index) => index + 1),
    );
    let previous = "0".repeat(64);
    for (const [index, link] of links.entries()) {
      const flat = entries[index]?.[1] ?? [];
      const signal = JSON.parse(flat[1] ?? "") as AcceptedSignal;
      expect(link.signal).toBe(signal.id);
      expect(link.previousHash).toBe(previous);
      expect(link.linkHash).toBe(linkHash(previous, signal, flat[3] ?? ""));
      previous = link.linkHash;
      if (link.signature === undefined) continue;
      const { payload } = await compactVerify(link.signature, publicKey);
      expect(new TextDecoder().decode(payload)).toBe(link.linkHash);
    }
    expect(links.at(-1)?.signature).toBeDefined();
  });
});

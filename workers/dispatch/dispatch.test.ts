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
import type { AcceptedSignal } from "../../domain/signal.ts";
import type { ChainLink } from "../../redis/events.ts";
import { MAX_JOBS_WAITING } from "../../redis/enqueue.ts";
import { RegionKeys } from "../../redis/keys.ts";
import { CHANNEL, HOME, PARTITIONS, startCopier, type Copier } from "../../tests/support/copier.ts";
import { startDesk, type TestDesk } from "../../tests/support/desk.ts";
import { startRole, type RoleProcess } from "../../tests/support/role.ts";
import { until } from "../../tests/support/wait.ts";
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

async function startDispatch(consumer = "one"): Promise<RoleProcess> {
  const worker = await startRole("dispatch", {
    ...desk.env,
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
  test("keeps a signal among the undispatched until there is, and loses none of its jobs", async () => {
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

describe("chain", () => {
  test("links every signal in order, by several workers of which one is killed, under a signed head (P7)", async () => {
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

/**
 * An edge is killed on either side of each of its durable steps. It has no state of its own and
 * each step is one request to its store, so a gate in front of the store triggers it. The home
 * worker dispatches every signal that was answered 202 (P1), and a sender who repeats an unanswered
 * request has one signal.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { exportJWK, generateKeyPair } from "jose";
import { HomeKeys } from "../../redis/keys.ts";
import { readAnswer } from "../runtime/client.ts";
import { RUNTIMES, type RunningEdge, type Settings } from "../runtime/launch.ts";
import { CHANNEL, PARTITIONS, startWorld, type World } from "../runtime/world.ts";
import { startRole, type RoleProcess } from "../support/role.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(60_000);

const HOME = new HomeKeys(PARTITIONS.ofChannel(CHANNEL));
/** The requests of an edge to its store for one signal, in order. */
const STEPS = ["acceptance", "dispatch", "confirmation"] as const;

let world: World;
let dispatcher: RoleProcess;
let gate: Gate;
let settings: Settings;

beforeAll(async () => {
  world = await startWorld();
  gate = startGate(world.settings["FANFARE_HOME_URL"] ?? "");
  const token = world.settings["FANFARE_HOME_TOKEN"] ?? "";
  settings = {
    ...world.settings,
    FANFARE_HOME_URL: gate.url,
    FANFARE_REGIONS: JSON.stringify({ local: { url: gate.url, token } }),
  };
  const { privateKey } = await generateKeyPair("EdDSA", { extractable: true });
  dispatcher = await startRole("dispatch", {
    FANFARE_REDIS_URL: world.redis.url,
    FANFARE_PARTITIONS: String(PARTITIONS.count),
    FANFARE_CONSUMER: "one",
    FANFARE_ISSUER_KEY: JSON.stringify(await exportJWK(privateKey)),
  });
});
afterAll(async () => {
  await dispatcher.stop();
  gate.stop();
  await world.stop();
});

interface Gate {
  readonly url: string;
  /**
   * Calls `strike` at the n-th request from now, before it is passed on or after it was answered;
   * the caller gets no answer.
   */
  arm(nth: number, side: "before" | "after", strike: () => Promise<void>): Promise<void>;
  stop(): void;
}

function startGate(to: string): Gate {
  let left = 0;
  let act: ((forward: () => Promise<unknown>) => Promise<void>) | undefined;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const { pathname } = new URL(request.url);
      const { method, headers } = request;
      const body = await request.arrayBuffer();
      const forward = () => fetch(to.replace(/\/$/, "") + pathname, { method, headers, body });
      left -= 1;
      if (left !== 0 || !act) return await forward();
      await act(forward);
      return new Response(null, { status: 502 });
    },
  });
  return {
    url: server.url.href,
    async arm(nth, side, strike) {
      left = nth;
      const { promise, resolve } = Promise.withResolvers<undefined>();
      act = async (forward) => {
        if (side === "after") await forward();
        await strike();
        resolve(undefined);
      };
      await promise;
    },
    stop: () => void server.stop(true),
  };
}

async function send(edge: RunningEdge, key: string, channel: string = CHANNEL): Promise<Response> {
  const authorization = `Bearer ${await world.token()}`;
  const headers = { authorization, "content-type": "application/json", "idempotency-key": key };
  const signal = { symbol: "EUR/USD", contract: "CALL", stakeCents: 500, durationSeconds: 60 };
  const body = JSON.stringify({ channel, ...signal });
  return await fetch(`${edge.url}/v1/signals`, { method: "POST", headers, body });
}

test.each(STEPS.flatMap((step) => [[step, "before"] as const, [step, "after"] as const]))(
  "an edge killed at its %s, %s it: one signal, each of its jobs once",
  async (step, side) => {
    const acceptedBefore = Number(await world.client.send("XLEN", [HOME.signals]));
    const key = crypto.randomUUID();
    const doomed = await RUNTIMES.Bun(settings);
    // It checks the format of its stores before its first acceptance, and not again.
    expect((await send(doomed, key, "nowhere")).status).toBe(403);
    const killed = gate.arm(STEPS.indexOf(step) + 1, side, () => doomed.kill());
    const answered = await send(doomed, key).catch(() => undefined);
    await killed;
    if (step === "acceptance") expect(answered).toBeUndefined();

    const next = await RUNTIMES.Bun(settings);
    const repeated = await readAnswer(await send(next, key));
    expect(repeated.status).toBe(202);
    // An answer that was in flight when the edge died may have arrived.
    if (answered)
      expect(await readAnswer(answered)).toMatchObject({ status: 202, body: repeated.body });
    expect(await world.client.send("XLEN", [HOME.signals])).toBe(acceptedBefore + 1);

    await until("nothing waits to be dispatched", async () => {
      return (await world.client.send("ZCARD", [HOME.undispatched])) === 0;
    });
    const jobs = await world.jobs(String(repeated.body["id"]));
    const partitions = jobs.map(({ partition }) => partition).toSorted((a, b) => a - b);
    expect(partitions).toEqual([...PARTITIONS.all()]);
    await next.stop();
  },
);

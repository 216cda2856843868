/**
 * The system that a benchmark starts: the desk with its Redis, a channel with followers, and for
 * some benchmarks everything around them.
 */
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { PARTITIONS, PROVIDER, startCopier, type Copier } from "../tests/support/copier.ts";
import { startDesk, type TestDesk } from "../tests/support/desk.ts";
import { freePort } from "../tests/support/ports.ts";
import { startRole, type RoleProcess } from "../tests/support/role.ts";
import { until } from "../tests/support/wait.ts";
import { showProgress } from "./figures.ts";
import { cpuMs, redisCpuMs } from "./machine.ts";

export interface Bed {
  readonly desk: TestDesk;
  readonly copier: Copier;
  stop(): Promise<void>;
}

export async function startBed(
  followers: number,
  options: Parameters<typeof startCopier>[2] = {},
): Promise<Bed> {
  showProgress(`${followers} followers: subscribing`);
  const desk = await startDesk();
  const copier = await startCopier(desk, followers, options);
  return {
    desk,
    copier,
    async stop() {
      copier.stop();
      await desk.stop();
    },
  };
}

/** Everything that `npm start` runs behind a signal, each in its own process. */
export interface House extends Bed {
  /** Sends a signal with this stake through the edge. */
  post(stakeCents: number): Promise<Response>;
  /** CPU time so far of the processes that a signal passes, by name. */
  cpuMs(): Promise<Readonly<Record<string, number>>>;
}

const ROLES = ["broker", "dispatch", "recorder"] as const;
/** No follower runs out of money and no contract settles during a measurement. */
const BALANCE_CENTS = 1_000_000_000_000;
const DURATION_SECONDS = 86_400;

export async function startHouse(followers: number): Promise<House> {
  const bed = await startBed(followers, { balanceCents: BALANCE_CENTS });
  const { desk, copier } = bed;
  const issuer = await generateKeyPair("EdDSA", { extractable: true });
  const privateKey = { ...(await exportJWK(issuer.privateKey)), kid: "bench", alg: "EdDSA" };
  const publicKey = { ...(await exportJWK(issuer.publicKey)), kid: "bench", alg: "EdDSA" };
  const data = `${process.env["TMPDIR"] ?? "/tmp"}/fanfare-bench-${process.pid}`;
  const roles: [name: string, RoleProcess][] = [];
  for (const role of ROLES) {
    const env = { FANFARE_DATA: data, FANFARE_ISSUER_KEY: JSON.stringify(privateKey) };
    roles.push([role, await startRole(role, { ...desk.env, ...env })]);
  }
  const [bridgePort, edgePort] = [await freePort(), await freePort()];
  const token = crypto.randomUUID();
  const home = { url: `http://127.0.0.1:${bridgePort}`, token };
  const bridge = spawn("local/bridge.ts", {
    FANFARE_REDIS_URL: desk.redis.url,
    FANFARE_BRIDGE_TOKEN: token,
    FANFARE_BRIDGE_PORT: String(bridgePort),
  });
  const edge = spawn("edge/entry-bun.ts", {
    PORT: String(edgePort),
    FANFARE_HOME_URL: home.url,
    FANFARE_HOME_TOKEN: token,
    FANFARE_REGIONS: JSON.stringify({ local: home }),
    FANFARE_PARTITIONS: String(PARTITIONS.count),
    FANFARE_ISSUER_KEYS: JSON.stringify({ keys: [publicKey] }),
    FANFARE_SEAL_KEY: Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64url"),
  });
  const url = `http://127.0.0.1:${edgePort}`;
  await until("the edge answers", () =>
    fetch(`${url}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  const bearer = await new SignJWT({ scope: "signals:write signals:read" })
    .setProtectedHeader({ alg: "EdDSA", kid: "bench" })
    .setIssuer("fanfare")
    .setAudience("fanfare")
    .setSubject(PROVIDER)
    .setExpirationTime("1h")
    .sign(issuer.privateKey);
  const headers = { authorization: `Bearer ${bearer}`, "content-type": "application/json" };
  return {
    ...bed,
    async post(stakeCents) {
      const what = { channel: "demo", symbol: "EUR/USD", contract: "CALL" };
      return await fetch(`${url}/v1/signals`, {
        method: "POST",
        headers: { ...headers, "idempotency-key": crypto.randomUUID() },
        body: JSON.stringify({ ...what, durationSeconds: DURATION_SECONDS, stakeCents }),
      });
    },
    async cpuMs() {
      const processes = [["edge", edge], ["bridge", bridge], ...roles] as const;
      return {
        ...Object.fromEntries(processes.map(([name, { pid }]) => [name, cpuMs(pid)])),
        redis: await redisCpuMs(copier.redis),
      };
    },
    async stop() {
      for (const child of [edge, bridge]) {
        child.kill();
        await child.exited;
      }
      await Promise.all(roles.map(([, role]) => role.stop()));
      await bed.stop();
      await Bun.$`rm -rf ${data}`.quiet();
    },
  };
}

function spawn(script: string, env: Readonly<Record<string, string>>): Bun.Subprocess {
  return Bun.spawn([process.execPath, "--no-env-file", script], {
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdio: ["ignore", "ignore", "ignore"],
  });
}

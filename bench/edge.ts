/**
 * `npm run bench -- edge`: how long `POST /v1/signals` takes on the Bun edge
 * while the whole system works behind it. The load is an open model: each
 * request leaves at its own time whatever became of the one before, and its
 * latency counts from that time, so that waiting shows.
 */
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { freePort } from "../tests/support/ports.ts";
import { PARTITIONS, PROVIDER, startCopier } from "../tests/support/copier.ts";
import { startDesk } from "../tests/support/desk.ts";
import { startRole, type RoleProcess } from "../tests/support/role.ts";
import { until } from "../tests/support/wait.ts";
import { numbersOf, optionsOf } from "./arguments.ts";
import { quantile, table } from "./figures.ts";
import { cpuMs, machine } from "./machine.ts";

const DEFAULTS = { rate: "500", seconds: "10", followers: "1", json: "" };
const WARM_UP_SECONDS = 3;

interface Load {
  readonly sent: number;
  readonly accepted: number;
  /** CPU time that edge and bridge took for one signal. */
  readonly edgeCpuMs: number;
  readonly bridgeCpuMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export async function run(args: string[]): Promise<void> {
  const options = optionsOf(args, DEFAULTS);
  const [rates, [seconds = 0], [followers = 0]] = [
    numbersOf(options.rate),
    numbersOf(options.seconds),
    numbersOf(options.followers),
  ];
  const system = await startSystem(followers);
  const loads: (Load & { readonly rate: number })[] = [];
  try {
    await drive(system, rates[0] ?? 1, WARM_UP_SECONDS);
    for (const rate of rates) loads.push({ rate, ...(await drive(system, rate, seconds)) });
  } finally {
    await system.stop();
  }
  const head = [
    ...["signals/s", "sent", "accepted", "p50 ms", "p99 ms", "max ms"],
    ...["edge CPU ms", "bridge CPU ms"],
  ];
  const rows = loads.map((each) => [
    ...[each.rate, each.sent, each.accepted],
    ...[each.p50Ms, each.p99Ms, each.maxMs].map((ms) => ms.toFixed(1)),
    ...[each.edgeCpuMs, each.bridgeCpuMs].map((ms) => ms.toFixed(2)),
  ]);
  console.log(table(head, rows));
  if (options.json !== "") {
    await Bun.write(options.json, JSON.stringify({ machine: machine(), followers, edge: loads }));
  }
}

/** Sends at the times of a fixed schedule and waits for every answer. */
async function drive(system: System, rate: number, seconds: number): Promise<Load> {
  const latencies: number[] = [];
  const answers: Promise<void>[] = [];
  let accepted = 0;
  const cpuBefore = system.cpuMs();
  const startedAtMs = performance.now();
  for (let sent = 0; sent < rate * seconds; sent += 1) {
    const dueAtMs = startedAtMs + (sent * 1000) / rate;
    const earlyMs = dueAtMs - performance.now();
    if (earlyMs > 0) await Bun.sleep(earlyMs);
    answers.push(
      system.post(sent).then((status) => {
        latencies.push(performance.now() - dueAtMs);
        if (status === 202) accepted += 1;
      }),
    );
  }
  await Promise.all(answers);
  const [edgeCpuMs = 0, bridgeCpuMs = 0] = system
    .cpuMs()
    .map((ms, index) => (ms - (cpuBefore[index] ?? 0)) / latencies.length);
  return {
    sent: latencies.length,
    accepted,
    edgeCpuMs,
    bridgeCpuMs,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    maxMs: quantile(latencies, 1),
  };
}

interface System {
  post(stakeCents: number): Promise<number>;
  /** CPU time of edge and bridge so far, where the system tells it. */
  cpuMs(): readonly number[];
  stop(): Promise<void>;
}

/** All that `npm start` runs behind a signal, each a process of its own. */
async function startSystem(followers: number): Promise<System> {
  const desk = await startDesk();
  const copier = await startCopier(desk, followers, { balanceCents: 1_000_000_000_000 });
  const issuer = await generateKeyPair("EdDSA", { extractable: true });
  const privateKey = { ...(await exportJWK(issuer.privateKey)), kid: "bench", alg: "EdDSA" };
  const publicKey = { ...(await exportJWK(issuer.publicKey)), kid: "bench", alg: "EdDSA" };
  const data = `${process.env["TMPDIR"] ?? "/tmp"}/fanfare-bench-${process.pid}`;
  const roles: RoleProcess[] = [];
  for (const role of ["broker", "dispatch", "recorder"]) {
    const env = { FANFARE_DATA: data, FANFARE_ISSUER_KEY: JSON.stringify(privateKey) };
    roles.push(await startRole(role, { ...desk.env, ...env }));
  }
  const [bridgePort, edgePort] = [await freePort(), await freePort()];
  const token = crypto.randomUUID();
  const home = { url: `http://127.0.0.1:${bridgePort}`, token };
  const spawn = (script: string, env: Record<string, string>) =>
    Bun.spawn([process.execPath, "--no-env-file", script], {
      env: { PATH: process.env["PATH"] ?? "", ...env },
      stdio: ["ignore", "ignore", "ignore"],
    });
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
    async post(number) {
      const signal = {
        channel: "demo",
        symbol: "EUR/USD",
        contract: "CALL",
        durationSeconds: 3600,
      };
      const body = JSON.stringify({ ...signal, stakeCents: 100 + (number % 1_000) });
      const response = await fetch(`${url}/v1/signals`, {
        method: "POST",
        headers: { ...headers, "idempotency-key": crypto.randomUUID() },
        body,
      });
      await response.arrayBuffer();
      return response.status;
    },
    cpuMs: () => [edge, bridge].map(({ pid }) => cpuMs(pid)),
    async stop() {
      edge.kill();
      await edge.exited;
      bridge.kill();
      await bridge.exited;
      await Promise.all(roles.map((role) => role.stop()));
      copier.stop();
      await desk.stop();
      await Bun.$`rm -rf ${data}`.quiet();
    },
  };
}

/** No process ever writes a secret of the settings. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { exportJWK, generateKeyPair } from "jose";
import { isSecret, type SettingsSchema } from "../../workers/runtime/env.ts";
import { SCHEMAS } from "../../workers/settings.ts";
import { freePort } from "../support/ports.ts";
import { startRedis } from "../support/redis.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(60_000);

const CANARY = "canary-in-every-secret-setting";
const ROLES = [
  "broker",
  "desk",
  "audit",
  "settle",
  "dispatch",
  "recorder",
  "records",
  "quotes",
  "simulator",
  "reconcile",
];

const folder = mkdtempSync(join(tmpdir(), "fanfare-secrets-"));
const redis = await startRedis();
afterAll(async () => {
  await redis.stop();
  rmSync(folder, { recursive: true, force: true });
});

const { privateKey } = await generateKeyPair("EdDSA", { extractable: true });
const issuerKey = { ...(await exportJWK(privateKey)), kid: CANARY };
const SECRETS: Readonly<Record<string, string>> = {
  FANFARE_DESK_TOKEN: CANARY,
  FANFARE_BROKER_TOKEN: CANARY,
  FANFARE_ISSUER_KEY: JSON.stringify(issuerKey),
  FANFARE_SEAL_KEY: CANARY.padEnd(43, "-"),
  FANFARE_DEMO_PASSWORD: CANARY,
  FANFARE_DEMO_HOOK_SECRET: CANARY,
};
const leaks = [CANARY, issuerKey.d ?? ""];

/** With a user's name and a password, which this Redis takes. */
const withCredentials = (url: string): string => url.replace("://", `://default:${CANARY}@`);

interface Ended {
  readonly code: number;
  readonly written: string;
}

/** Runs a role until it is ready or has ended, and returns its output. */
async function lived(role: string, more: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const env = {
    PATH: process.env["PATH"] ?? "",
    ...SECRETS,
    FANFARE_REDIS_URL: withCredentials(redis.url),
    FANFARE_REGION_REDIS_URLS: JSON.stringify({ local: withCredentials(redis.url) }),
    FANFARE_BROKER_URL: withCredentials("http://127.0.0.1:9"),
    FANFARE_DATA: folder,
    FANFARE_RECORDS_PORT: String(await freePort()),
    FANFARE_DESK_PORT: String(await freePort()),
    FANFARE_QUOTES_PORT: String(await freePort()),
    FANFARE_SIMULATOR_ASKED_PORT: String(await freePort()),
    FANFARE_SIMULATOR_STREAMING_PORT: String(await freePort()),
    ...more,
  };
  const child = Bun.spawn([process.execPath, "--no-env-file", "workers/main.ts", role], {
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  let written = "";
  const reading = [child.stdout, child.stderr].map(async (stream) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) written += text;
  });
  // The quotes role waits for a feed that does not exist: it is enough that it logs.
  const isUp = (): boolean => /^ready$/m.test(written) || child.exitCode !== null;
  if (role === "quotes") await until("it logs", () => written.includes('"starts"'));
  else await until(`${role} is up, or has ended`, isUp, 30_000);
  child.kill("SIGTERM");
  const code = await child.exited;
  await Promise.all(reading);
  return { code, written };
}

test("every secret setting of every role has a canary here", () => {
  const secret = (SCHEMAS as SettingsSchema[]).flatMap(({ entries }) =>
    Object.entries(entries).filter(([, entry]) => isSecret(entry as never)),
  );
  expect(new Set(secret.map(([name]) => name))).toEqual(new Set(Object.keys(SECRETS)));
});

test.each(ROLES)(
  "%s logs its settings at the start, and no secret from there to its end",
  async (role) => {
    const { code, written } = await lived(role);
    expect([code, written]).toEqual([0, expect.stringContaining('"starts"')]);
    for (const leak of leaks) expect(written).not.toContain(leak);
  },
);

test.each([
  [
    "audit",
    { AUDIT_MONGODB_URI: `mongodb://canary:${CANARY}@127.0.0.1:9/?serverSelectionTimeoutMS=1` },
  ],
  ["recorder", { MONGODB_URI: `mongodb://canary:${CANARY}@127.0.0.1:9` }],
])("%s says that it cannot reach its store, and not by which password", async (role, more) => {
  const { code, written } = await lived(role, more);
  expect([code, written]).toEqual([1, expect.stringContaining(`${role} could not go on: Mongo`)]);
  for (const leak of leaks) expect(written).not.toContain(leak);
});

test("a fault of a secret setting does not show its value", async () => {
  const wrong = Object.fromEntries(
    Object.keys(SECRETS).map((name) => [name, `${CANARY} {"kty":"${CANARY}"}`]),
  );
  const urls = { FANFARE_REDIS_URL: `http://:${CANARY}@x`, MONGODB_URI: `http://:${CANARY}@x` };
  const { code, written } = await lived("records", { ...wrong, ...urls });
  expect([code, written]).toEqual([2, expect.stringContaining("FANFARE_ISSUER_KEY must be")]);
  expect(written).not.toContain(CANARY);
});

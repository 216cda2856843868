/**
 * The secrets of one machine: created at the first start, stored in a file that only its owner can
 * read, and never shown, except for the demo password.
 */
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exportJWK, generateKeyPair, importJWK, SignJWT, type JWK } from "jose";

export interface Keys {
  /** Private, Ed25519, with its `kid`. */
  readonly issuerKey: JWK;
  /** base64url, 32 bytes. */
  readonly sealKey: string;
  readonly redisPassword: string;
  readonly bridgeToken: string;
  readonly deskToken: string;
  readonly demoPassword: string;
}

/** The longest lifetime that the edge accepts. */
const TOKEN_LIFETIME_MS = 12 * 60 * 60 * 1000;

export async function openKeys(data: string): Promise<Keys> {
  const path = join(data, "keys.json");
  if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8")) as Keys;
  const keys: Keys = {
    issuerKey: await newIssuerKey(),
    sealKey: randomText(32),
    redisPassword: randomText(24),
    bridgeToken: randomText(24),
    deskToken: randomText(24),
    demoPassword: randomText(9),
  };
  // Renamed into place, so that a crash leaves either no keys or all of them.
  writeFileSync(`${path}.new`, JSON.stringify(keys, null, 2), { mode: 0o600 });
  renameSync(`${path}.new`, path);
  return keys;
}

/** The public keys that verify the tokens, for the edge. */
export function extractPublicKeys({ issuerKey }: Keys): { readonly keys: readonly JWK[] } {
  const { d: _private, ...publicKey } = issuerKey;
  return { keys: [publicKey] };
}

/** The permissions of the demo's people. */
const DEMO_SCOPES = {
  "demo-provider": "signals:write signals:read records:read records:write",
  daytrader: "desk:trade records:read",
} as const;

/** A bearer token of one of the demo's people, valid for as long as the edge allows. */
export async function demoToken(
  { issuerKey }: Keys,
  person: keyof typeof DEMO_SCOPES,
  nowMs: number,
): Promise<string> {
  return await new SignJWT({ scope: DEMO_SCOPES[person] })
    .setProtectedHeader({ alg: "EdDSA", kid: issuerKey.kid ?? "" })
    .setIssuer("fanfare")
    .setAudience("fanfare")
    .setSubject(person)
    .setIssuedAt(Math.floor(nowMs / 1000))
    .setExpirationTime(Math.floor((nowMs + TOKEN_LIFETIME_MS) / 1000))
    .sign(await importJWK(issuerKey, "EdDSA"));
}

async function newIssuerKey(): Promise<JWK> {
  const { privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const jwk = await exportJWK(privateKey);
  return { ...jwk, alg: "EdDSA", use: "sig", kid: randomText(6) };
}

function randomText(bytes: number): string {
  return randomBytes(bytes).toString("base64url");
}

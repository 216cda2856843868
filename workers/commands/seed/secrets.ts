/**
 * The demo's secrets: from the settings, or else generated once and stored in the data folder, in a
 * file that only its owner can read.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { SeedSettings } from "./env.ts";

export const DEMO_EMAIL = "demo@fanfare.local";

const SecretsSchema = v.object({ email: v.string(), password: v.string(), hookSecret: v.string() });
export type DemoSecrets = v.InferOutput<typeof SecretsSchema>;

export function openDemoSecrets(settings: SeedSettings): DemoSecrets {
  mkdirSync(settings.FANFARE_DATA, { recursive: true });
  const path = join(settings.FANFARE_DATA, "demo.json");
  const kept = existsSync(path) ? readSecrets(path) : undefined;
  const secrets = {
    email: DEMO_EMAIL,
    password: settings.FANFARE_DEMO_PASSWORD ?? kept?.password ?? drawn(12),
    hookSecret: settings.FANFARE_DEMO_HOOK_SECRET ?? kept?.hookSecret ?? drawn(24),
  };
  writeFileSync(path, `${JSON.stringify(secrets, undefined, 2)}\n`, { mode: 0o600 });
  // The mode above applies only to a new file.
  chmodSync(path, 0o600);
  return secrets;
}

function readSecrets(path: string): DemoSecrets | undefined {
  try {
    return v.parse(SecretsSchema, JSON.parse(readFileSync(path, "utf8")));
  } catch {
    // A file that a crash truncated: new secrets, as on the first run.
    return undefined;
  }
}

function drawn(bytes: number): string {
  return randomBytes(bytes).toString("base64url");
}

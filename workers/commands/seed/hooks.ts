/** The demo hooks, one of each kind: `demo-tv` and `demo-std`, with one secret. */
import { createHash } from "node:crypto";
import { compactDecrypt, CompactEncrypt } from "jose";
import { asId, type ChannelId, type HookId, type PersonId } from "../../../domain/ids.ts";
import type { Hook } from "../../../domain/copier/hook.ts";
import type { HookRecord, Records } from "../../records/port.ts";

/** The channel and the sender of the hooks. */
interface Aim {
  readonly channel: ChannelId;
  readonly sender: PersonId;
}

/** Records both hooks; a recorded hook with another secret gets its next version. */
export async function seedHooks(
  records: Records,
  aim: Aim,
  hookSecret: string,
  sealKey: string,
): Promise<void> {
  const key = Buffer.from(sealKey, "base64url");
  const secretSha256 = createHash("sha256").update(hookSecret).digest("hex");
  await seedHook(
    records,
    "demo-tv",
    async (hook) => hook.kind === "tradingview" && hook.secretSha256 === secretSha256,
    async (id) => ({ ...aim, id, kind: "tradingview", secretSha256 }),
  );
  const shared = standardSecret(hookSecret);
  await seedHook(
    records,
    "demo-std",
    async (hook) => hook.kind === "standard" && (await unsealed(hook.sealedSecret, key)) === shared,
    async (id) => ({ ...aim, id, kind: "standard", sealedSecret: await sealed(shared, key) }),
  );
}

/** Standard Webhooks writes a secret as `whsec_` and base64. */
export function standardSecret(hookSecret: string): string {
  return `whsec_${Buffer.from(hookSecret).toString("base64")}`;
}

async function seedHook(
  { hooks }: Records,
  name: string,
  isCurrent: (hook: Hook) => Promise<boolean>,
  make: (id: HookId) => Promise<Hook>,
): Promise<void> {
  const current = await hooks.get(name);
  if (current && (await isCurrent(current.hook))) return;
  const next: HookRecord = {
    _id: name,
    hook: await make(asId<HookId>(name)),
    version: (current?.version ?? 0) + 1,
    outbox: true,
  };
  await hooks.putNewer([next]);
}

async function sealed(secret: string, key: Uint8Array): Promise<string> {
  return await new CompactEncrypt(new TextEncoder().encode(secret))
    .setProtectedHeader({ alg: "dir", enc: "A256GCM" })
    .encrypt(key);
}

/** Undefined if it was sealed with another key. */
async function unsealed(jwe: string, key: Uint8Array): Promise<string | undefined> {
  try {
    return new TextDecoder().decode((await compactDecrypt(jwe, key)).plaintext);
  } catch {
    // Sealed with another key.
    return undefined;
  }
}

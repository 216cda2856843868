import { expect, test } from "bun:test";
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from "jose";
import { tokenVerifier } from "./tokens.ts";

const NOW_MS = 1_800_000_000_000;
const { publicKey, privateKey } = await generateKeyPair("EdDSA", { extractable: true });
const verify = tokenVerifier({ keys: [{ ...(await exportJWK(publicKey)), kid: "a" }] });

function claims(extra: object): SignJWT {
  const base = { iss: "fanfare", aud: "fanfare", sub: "someone", exp: NOW_MS / 1000 + 60 };
  return new SignJWT({ ...base, scope: "signals:write records:read", ...extra });
}
const sign = async (extra = {}): Promise<string> =>
  await claims(extra).setProtectedHeader({ alg: "EdDSA", kid: "a" }).sign(privateKey);

test("a valid token names its person, permissions and expiry", async () => {
  const token = await sign();
  expect(await verify(token, NOW_MS)).toMatchObject({
    ok: true,
    value: {
      person: "someone",
      permissions: new Set(["signals:write", "records:read"]),
      expiresAtMs: NOW_MS + 60_000,
    },
  });
});

test("an expired token is distinguished from an invalid one, by the clock that is passed in", async () => {
  const token = await sign();
  // Also a token that was valid a moment ago.
  expect((await verify(token, NOW_MS)).ok).toBe(true);
  expect(await verify(token, NOW_MS + 61_000)).toMatchObject({ code: "TOKEN_EXPIRED" });
  for (const extra of [{ sub: "a b" }, { sub: undefined }, { exp: undefined }, { scope: 1 }]) {
    expect(await verify(await sign(extra), NOW_MS)).toMatchObject({ code: "TOKEN_INVALID" });
  }
});

test("the public key is no password: a token signed with it as an HMAC key is refused", async () => {
  const secret = new TextEncoder().encode(await exportSPKI(publicKey));
  const token = await claims({}).setProtectedHeader({ alg: "HS256", kid: "a" }).sign(secret);
  expect(await verify(token, NOW_MS)).toMatchObject({ code: "TOKEN_INVALID" });
});

/** Tokens as they are issued by the command. */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { JWK } from "jose";
import type { PersonId } from "../../domain/ids.ts";
import { createTokens } from "../api/tokens.ts";

setDefaultTimeout(20_000);

const { privateKey } = (await crypto.subtle.generateKey("Ed25519", true, [
  "sign",
])) as CryptoKeyPair;
const key = (await crypto.subtle.exportKey("jwk", privateKey)) as JWK;

async function token(...words: string[]): Promise<[code: number, out: string, err: string]> {
  const child = Bun.spawn([process.execPath, "workers/main.ts", "token", ...words], {
    env: { ...process.env, FANFARE_ISSUER_KEY: JSON.stringify(key) },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return [await child.exited, out, err];
}

test("a token is the person's, with the scopes that were named, and of this issuer", async () => {
  const [code, out] = await token("an-administrator", "desk:trade", "desk:admin");
  expect([code, out]).toEqual([0, expect.stringMatching(/^\S+\n$/)]);
  const { verify } = await createTokens(key, Date.now);
  expect(await verify(out.trim())).toEqual({
    ok: true,
    value: {
      person: "an-administrator" as PersonId,
      scopes: new Set(["desk:trade", "desk:admin"]),
    },
  });
});

test("no token is issued for what is no person, no scope, or unknown", async () => {
  for (const words of [[], ["me"], ["no one", "desk:trade"], ["me", "desk:trade", "root"]]) {
    expect(await token(...words)).toEqual([2, "", expect.stringContaining("usage: token")]);
  }
});

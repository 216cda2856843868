/** Tokens that the command issues. */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { JWK } from "jose";
import type { PersonId } from "../../domain/ids.ts";
import { runCommand } from "../../tests/support/command.ts";
import { createTokens } from "../api/tokens.ts";

setDefaultTimeout(20_000);

const { privateKey } = (await crypto.subtle.generateKey("Ed25519", true, [
  "sign",
])) as CryptoKeyPair;
const key = (await crypto.subtle.exportKey("jwk", privateKey)) as JWK;

const token = (...words: string[]) =>
  runCommand(["workers/commands/main.ts", "token", ...words], {
    FANFARE_ISSUER_KEY: JSON.stringify(key),
  });

test("a token is for the person, with the named scopes, by this issuer", async () => {
  const { code, out } = await token("an-administrator", "desk:trade", "desk:admin");
  expect([code, out]).toEqual([0, expect.stringMatching(/^\S+\n$/)]);
  const { verify } = await createTokens(key, Date.now);
  expect(await verify(out.trim())).toEqual({
    ok: true,
    value: {
      person: "an-administrator" as PersonId,
      permissions: new Set(["desk:trade", "desk:admin"]),
    },
  });
});

test("no token is issued for an invalid or unknown person, or an unknown scope", async () => {
  for (const words of [[], ["me"], ["no one", "desk:trade"], ["me", "desk:trade", "root"]]) {
    const { code, out, err } = await token(...words);
    expect([code, out, err]).toEqual([2, "", expect.stringContaining("usage: token")]);
  }
});

import { expect, test } from "bun:test";
import { readEnv, summarizeEnv } from "./env.ts";

const GOOD = {
  FANFARE_HOME_URL: "https://home.example",
  FANFARE_HOME_TOKEN: "home-token",
  FANFARE_REGIONS: '{"eu":{"url":"https://eu.example","token":"eu-token"}}',
  FANFARE_ISSUER_KEYS: '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}',
  FANFARE_SEAL_KEY: "A".repeat(43),
};

test("the required settings are enough, and the rest has defaults", () => {
  const env = readEnv({ ...GOOD, PATH: "/bin" });
  expect(env).toMatchObject({ ok: true, value: { PORT: 8787, FANFARE_PARTITIONS: 4 } });
  expect(env.ok && env.value.FANFARE_SEAL_KEY).toEqual(new Uint8Array(32));
});

test("all faults and unknown names are reported together", () => {
  const { FANFARE_HOME_URL: _, ...rest } = GOOD;
  const wrong = { PORT: "x", FANFARE_REGIONS: "{", FANFARE_PARTITIONS: "0", FANFARE_TYPO: "" };
  expect(readEnv({ ...rest, ...wrong })).toEqual({
    ok: false,
    faults: [
      "PORT must be a port number",
      "FANFARE_HOME_URL is required",
      'FANFARE_REGIONS must be JSON such as {"local":{"url":"https://…","token":"…"}}',
      "FANFARE_PARTITIONS must be at least 1",
      "FANFARE_TYPO is not a setting",
    ],
  });
});

test("the address to listen at is an IP address, or every address of the machine if not set", () => {
  const readHost = (source: Record<string, string>) => {
    const env = readEnv({ ...GOOD, ...source });
    return env.ok ? env.value.HOST : env.faults;
  };
  expect(readHost({})).toBeUndefined();
  expect(readHost({ HOST: "192.0.2.2" })).toBe("192.0.2.2");
  expect(readHost({ HOST: "::" })).toBe("::");
  expect(readHost({ HOST: "my-machine" })).toEqual([
    "HOST must be an IP address such as 127.0.0.1, or 0.0.0.0",
  ]);
});

test("a private key among the issuer's keys is refused", () => {
  const key = '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}]}';
  expect(readEnv({ ...GOOD, FANFARE_ISSUER_KEYS: key })).toMatchObject({ ok: false });
});

test("the summary for the log holds no token and no key", () => {
  const env = readEnv(GOOD);
  const summary = JSON.stringify(env.ok && summarizeEnv(env.value));
  expect(summary).toContain("eu=eu.example");
  expect(summary).not.toMatch(/token|AAAA/);
});

test("the desk servers are a list of addresses, and need the desk's token", () => {
  const desk = { FANFARE_DESK_URLS: "http://a:1, http://b:2", FANFARE_DESK_TOKEN: "t".repeat(16) };
  const env = readEnv({ ...GOOD, ...desk });
  expect(env.ok && env.value.FANFARE_DESK_URLS).toEqual(["http://a:1", "http://b:2"]);
  const { FANFARE_DESK_TOKEN: _, ...without } = desk;
  expect(readEnv({ ...GOOD, ...without })).toMatchObject({ ok: false });
  expect(readEnv({ ...GOOD, ...desk, FANFARE_DESK_URLS: "a:1" })).toMatchObject({ ok: false });
});

/**
 * The edge's settings: parsed once, all faults reported together. Every name is in `.env.example`.
 */
import * as v from "valibot";

const parsedJson = (what: string) =>
  v.pipe(
    v.string(what),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      try {
        return JSON.parse(dataset.value) as unknown;
      } catch {
        // The parser's message would quote the value, which may be a secret.
        addIssue({ message: what });
        return NEVER;
      }
    }),
  );
const httpUrl = v.pipe(
  v.string("a URL"),
  v.check(
    (text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol),
    "a URL starting with http: or https:",
  ),
);
const secret = v.pipe(v.string("a token"), v.minLength(1, "a token"));

/** A base64url text of 32 bytes, decoded. */
const sealKey = v.pipe(
  v.string("32 bytes in base64url"),
  v.regex(/^[A-Za-z0-9_-]{43}$/, "32 bytes in base64url"),
  v.transform((text) =>
    Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (each) =>
      each.charCodeAt(0),
    ),
  ),
);

const publicKey = v.pipe(
  v.looseObject({
    kty: v.literal("OKP", "an Ed25519 key"),
    crv: v.literal("Ed25519", "an Ed25519 key"),
    x: v.string("an Ed25519 key"),
  }),
  v.check((key) => !("d" in key), "a public key only: this one holds its private part"),
);

export const EdgeSchema = v.object({
  /**
   * The address at which the Bun and Deno entries listen; every address of the machine if not set.
   */
  HOST: v.optional(v.pipe(v.string(), v.ip("an IP address such as 127.0.0.1, or 0.0.0.0"))),
  /** The port at which the Bun and Deno entries listen. */
  PORT: v.optional(
    v.pipe(v.string(), v.regex(/^\d{1,5}$/, "a port number"), v.transform(Number)),
    "8787",
  ),
  /** The Upstash REST address of the home Redis. */
  FANFARE_HOME_URL: httpUrl,
  FANFARE_HOME_TOKEN: secret,
  /** Region name → the Upstash REST address of its Redis. */
  FANFARE_REGIONS: v.pipe(
    parsedJson('JSON such as {"local":{"url":"https://…","token":"…"}}'),
    v.record(
      v.pipe(v.string(), v.regex(/^[a-z0-9-]{1,32}$/, "named by a-z, 0-9 and -")),
      v.object({ url: httpUrl, token: secret }),
      'JSON such as {"local":{"url":"https://…","token":"…"}}',
    ),
  ),
  /** The same number as for the workers. */
  FANFARE_PARTITIONS: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^\d{1,4}$/, "a whole number"),
      v.transform(Number),
      v.minValue(1, "at least 1"),
      v.maxValue(1024, "at most 1024"),
    ),
    "4",
  ),
  /** The public keys (JWKS) that verify tokens. */
  FANFARE_ISSUER_KEYS: v.pipe(
    parsedJson('a JWKS such as {"keys":[…]}'),
    v.object(
      { keys: v.pipe(v.array(publicKey, "a list of keys"), v.minLength(1, "at least one key")) },
      'a JWKS such as {"keys":[…]}',
    ),
  ),
  /** The key with which webhook secrets are sealed. */
  FANFARE_SEAL_KEY: sealKey,
  /** The records API; without it only the signal path is served. */
  FANFARE_RECORDS_URL: v.optional(httpUrl),
  /** The desk servers, separated by commas: each can serve every request. */
  FANFARE_DESK_URLS: v.optional(
    v.pipe(
      v.string(),
      v.transform((text) => text.split(",").map((each) => each.trim())),
      v.array(httpUrl),
    ),
  ),
  /** The token that the edge sends to the desk servers; required if there are any. */
  FANFARE_DESK_TOKEN: v.optional(v.pipe(v.string(), v.minLength(16, "16 characters or more"))),
  /** The folder of the built page, for Bun and Deno; Cloudflare serves its own assets. */
  FANFARE_APP: v.optional(v.string()),
});

export type EdgeEnv = v.InferOutput<typeof EdgeSchema>;

export type EnvResult =
  | { readonly ok: true; readonly value: EdgeEnv }
  | { readonly ok: false; readonly faults: readonly string[] };

export function readEnv(source: Readonly<Record<string, unknown>>): EnvResult {
  const parsed = v.safeParse(EdgeSchema, source);
  const faults = (parsed.issues ?? []).map((issue) => {
    const absent = issue.path?.length === 1 && issue.input === undefined;
    const path = v.getDotPath(issue) ?? "?";
    return absent ? `${path} is required` : `${path} must be ${issue.message}`;
  });
  for (const name of Object.keys(source)) {
    if (/^FANFARE_(?!TEST_)/.test(name) && !Object.hasOwn(EdgeSchema.entries, name)) {
      faults.push(`${name} is not a setting`);
    }
  }
  if (source["FANFARE_DESK_URLS"] !== undefined && source["FANFARE_DESK_TOKEN"] === undefined) {
    faults.push("FANFARE_DESK_TOKEN is required by FANFARE_DESK_URLS");
  }
  return faults.length === 0 && parsed.success
    ? { ok: true, value: parsed.output }
    : { ok: false, faults };
}

/** What the log may show of the settings: addresses, never tokens or keys. */
export function summarizeEnv(env: EdgeEnv): Record<string, unknown> {
  return {
    host: env.HOST ?? null,
    port: env.PORT,
    home: new URL(env.FANFARE_HOME_URL).host,
    regions: Object.entries(env.FANFARE_REGIONS).map(
      ([name, { url }]) => `${name}=${new URL(url).host}`,
    ),
    partitions: env.FANFARE_PARTITIONS,
    issuerKeys: env.FANFARE_ISSUER_KEYS.keys.length,
    records: env.FANFARE_RECORDS_URL === undefined ? null : new URL(env.FANFARE_RECORDS_URL).host,
    desk: (env.FANFARE_DESK_URLS ?? []).map((each) => new URL(each).host),
    page: env.FANFARE_APP !== undefined,
  };
}

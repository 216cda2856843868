/**
 * Settings: the parts of the schema beside each role and command, and the reading from the
 * environment, which reports all faults together. Every name is in `.env.example`.
 */
import { own } from "../../domain/own.ts";
import { hostname } from "node:os";
import * as v from "valibot";

/** The schema of a role or a command: its entries are named as in the environment. */
export interface SettingsSchema extends v.GenericSchema<unknown, object> {
  readonly entries: v.ObjectEntries;
}

export const text = v.string();

export const port = v.pipe(text, v.regex(/^\d{1,5}$/, "a port number"), v.transform(Number));

export function wholeNumber(what = "a whole number") {
  return v.pipe(text, v.regex(/^\d{1,12}$/, what), v.transform(Number));
}

export function url(...protocols: string[]) {
  return v.pipe(
    text,
    v.check(
      (value) => URL.canParse(value) && protocols.includes(new URL(value).protocol),
      `a URL starting with ${protocols.map((each) => `${each}//`).join(" or ")}`,
    ),
  );
}

export function json(what: string) {
  return v.pipe(
    text,
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
}

/** A value that no log may show. Error messages must not quote it either. */
export function secret<const Schema extends v.GenericSchema<string, unknown>>(schema: Schema) {
  return v.pipe(schema, v.metadata({ secret: true }));
}

const redisUrl = url("redis:", "rediss:", "redis-cluster:");
/** A list of hosts is not a URL that can be parsed. */
const mongodbUri = v.pipe(
  text,
  v.regex(/^mongodb(\+srv)?:\/\/[^/]/, "a URL starting with mongodb:// or mongodb+srv://"),
);
const token = v.pipe(text, v.minLength(16, "16 characters or more"));

/** For every role. */
export const PROCESS = {
  /** The address at which servers of this role listen. */
  FANFARE_HOST: v.optional(text, "127.0.0.1"),
  /** The port at which this process serves `/metrics`; absent: none. */
  FANFARE_METRICS_PORT: v.optional(port),
  /** Only for crash tests: `<point>:<n>:<kill or stop>`, see workers/runtime/crash-point.ts. */
  FANFARE_CRASH_AT: v.optional(
    v.pipe(text, v.regex(/^(?:(?:before|after):)?[a-z-]+:\d+:(?:kill|stop)$/, "a crash point")),
  ),
};

export const REDIS = {
  /** The Redis that this process works on. */
  FANFARE_REDIS_URL: v.optional(redisUrl, "redis://127.0.0.1:6379"),
  /** Absent: the number that Redis stores, or 4 in a new one. */
  FANFARE_PARTITIONS: v.optional(
    v.pipe(
      text,
      v.regex(/^\d{1,4}$/, "a whole number"),
      v.transform(Number),
      v.minValue(1, "at least 1"),
      v.maxValue(1024, "at most 1024"),
    ),
  ),
};

export const REGION = {
  FANFARE_REGION: v.optional(v.pipe(text, v.regex(/^[a-z0-9-]{1,32}$/, "a region")), "local"),
};

/** For roles and commands that work on every region. */
export const REGIONS = {
  ...REGION,
  /** Region name → its Redis. Default: this region only. */
  FANFARE_REGION_REDIS_URLS: v.optional(
    v.pipe(
      json('JSON such as {"eu":"redis://…"}'),
      v.record(text, redisUrl, 'JSON such as {"eu":"redis://…"}'),
    ),
  ),
};

export const CONSUMER = {
  /** The name of this worker in consumer groups: unique among the running ones, the same at each start. */
  FANFARE_CONSUMER: v.optional(
    v.pipe(text, v.regex(/^[A-Za-z0-9._-]{1,64}$/, "1 to 64 of A-Z a-z 0-9 . _ -")),
    hostname(),
  ),
};

/** Where records are stored. */
export const STORE = {
  /** The data folder of one machine. */
  FANFARE_DATA: v.optional(text, ".data"),
  /** The records' MongoDB; without it they are SQLite in FANFARE_DATA. */
  MONGODB_URI: v.optional(mongodbUri),
};

/** Where the desk's audit is stored. */
export const AUDIT_STORE = {
  ...STORE,
  /** The MongoDB of the desk's audit; without it, it is where the records are. */
  AUDIT_MONGODB_URI: v.optional(mongodbUri),
};

export const ISSUER = {
  /** The Ed25519 private JWK that signs tokens and chain heads. */
  FANFARE_ISSUER_KEY: secret(
    v.pipe(
      json("an Ed25519 private JWK"),
      v.looseObject(
        {
          kty: v.literal("OKP", "OKP"),
          d: v.string("the private key"),
        },
        "an Ed25519 private JWK",
      ),
    ),
  ),
};

/** A desk, as its clients use it. */
export const DESK = {
  FANFARE_DESK_URL: v.optional(url("http:", "https:"), "http://127.0.0.1:8791"),
  /** The token with which the copier trades in its followers' accounts. */
  FANFARE_DESK_TOKEN: secret(token),
};

export type RedisSettings = v.InferOutput<v.ObjectSchema<typeof REDIS, undefined>>;
export type RegionSettings = v.InferOutput<v.ObjectSchema<typeof REGIONS, undefined>>;
export type StoreSettings = v.InferOutput<v.ObjectSchema<typeof STORE, undefined>>;
export type AuditStoreSettings = v.InferOutput<v.ObjectSchema<typeof AUDIT_STORE, undefined>>;
export type ProcessSettings = v.InferOutput<v.ObjectSchema<typeof PROCESS, undefined>>;

export type SettingsResult<Settings> =
  | { readonly ok: true; readonly value: Settings }
  | { readonly ok: false; readonly faults: readonly string[] };

/**
 * `known` are the names of all roles: another role's setting is ignored, any other name is a fault.
 */
export function readSettings<Schema extends SettingsSchema>(
  schema: Schema,
  source: Readonly<Record<string, string | undefined>>,
  known: ReadonlySet<string>,
): SettingsResult<v.InferOutput<Schema>> {
  const parsed = v.safeParse(schema, source);
  const faults = (parsed.issues ?? []).map((issue) => {
    const path = v.getDotPath(issue);
    if (path === null) return issue.message;
    return issue.input === undefined ? `${path} is required` : `${path} must be ${issue.message}`;
  });
  for (const name of Object.keys(source)) {
    if (/^FANFARE_(?!TEST_)/.test(name) && !known.has(name))
      faults.push(`${name} is not a setting`);
  }
  return faults.length === 0 && parsed.success
    ? { ok: true, value: parsed.output }
    : { ok: false, faults };
}

/** The settings as a log may show them: secrets are masked, and of a URL only the host is shown. */
export function summarizeSettings(
  schema: SettingsSchema,
  settings: object,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(settings).flatMap(([name, value]: [string, unknown]) => {
      if (value === undefined) return [];
      return [[name, isSecret(own(schema.entries, name)) ? "(secret)" : withoutCredentials(value)]];
    }),
  );
}

export function isSecret(schema: v.GenericSchema | undefined): boolean {
  if (schema === undefined) return false;
  if ("wrapped" in schema) return isSecret(schema.wrapped as v.GenericSchema);
  return v.getMetadata(schema)["secret"] === true;
}

function withoutCredentials(value: unknown): unknown {
  if (typeof value === "string") {
    const [, protocol, authority = ""] = /^([a-z+-]+:\/\/)([^/?#]*)/.exec(value) ?? [];
    if (protocol === undefined) return value;
    // A path or a query may also contain a key.
    return `${protocol}${authority.slice(authority.lastIndexOf("@") + 1)}`;
  }
  if (Array.isArray(value)) return value.map(withoutCredentials);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, withoutCredentials(each)]),
  );
}

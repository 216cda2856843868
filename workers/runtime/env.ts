/** The workers' configuration: parsed once, all faults together. Every name stands in `.env.example`. */
import { hostname } from "node:os";
import * as v from "valibot";
import { ID_PATTERN } from "../../domain/ids.ts";
import { SYMBOL_PATTERN } from "../../domain/instrument.ts";

const port = v.pipe(v.string(), v.regex(/^\d{1,5}$/, "a port number"), v.transform(Number));
const url = (...protocols: string[]) =>
  v.pipe(
    v.string(),
    v.check(
      (text) => URL.canParse(text) && protocols.includes(new URL(text).protocol),
      `a URL starting with ${protocols.map((each) => `${each}//`).join(" or ")}`,
    ),
  );
const json = (what: string) =>
  v.pipe(
    v.string(),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      try {
        return JSON.parse(dataset.value) as unknown;
      } catch {
        addIssue({ message: what });
        return NEVER;
      }
    }),
  );

export const WorkerSchema = v.object({
  /** The Redis that this role works on. */
  FANFARE_REDIS_URL: v.optional(
    url("redis:", "rediss:", "redis-cluster:"),
    "redis://127.0.0.1:6379",
  ),
  /** Region name → its Redis, for the roles that reach every region (dispatch, records). Default: this region only. */
  FANFARE_REGION_REDIS_URLS: v.optional(
    v.pipe(
      json('JSON such as {"eu":"redis://…"}'),
      v.record(v.string(), url("redis:", "rediss:", "redis-cluster:")),
    ),
  ),
  FANFARE_REGION: v.optional(v.pipe(v.string(), v.regex(/^[a-z0-9-]{1,32}$/)), "local"),
  FANFARE_PARTITIONS: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^\d{1,4}$/, "a whole number"),
      v.transform(Number),
      v.minValue(1),
      v.maxValue(1024),
    ),
    "4",
  ),
  /** What this worker is called in consumer groups: its own among those alive, the same at each start. */
  FANFARE_CONSUMER: v.optional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,64}$/)), hostname()),
  /** The address that servers of this role listen at. */
  FANFARE_HOST: v.optional(v.string(), "127.0.0.1"),
  /** Where one machine keeps its data. */
  FANFARE_DATA: v.optional(v.string(), ".data"),
  /** The records' MongoDB; without it they are SQLite in FANFARE_DATA. */
  MONGODB_URI: v.optional(url("mongodb:", "mongodb+srv:")),
  /** The MongoDB of the desk's audit; without it, it is where the records are. */
  AUDIT_MONGODB_URI: v.optional(url("mongodb:", "mongodb+srv:")),
  /** The broker that this worker stands beside: the house's own desk, or any other by this name and its URL. */
  FANFARE_BROKER: v.optional(v.pipe(v.string(), v.regex(ID_PATTERN, "an id")), "desk"),
  FANFARE_BROKER_URL: v.optional(url("http:", "https:")),
  FANFARE_BROKER_TOKEN: v.optional(v.pipe(v.string(), v.minLength(1))),
  /** What may be built on at that broker; what is not named counts as not given. */
  FANFARE_BROKER_CAPABILITIES: v.optional(
    v.pipe(
      json('JSON such as {"deduplicates":"account"}'),
      v.strictObject({
        deduplicates: v.optional(v.picklist(["none", "open-orders", "ten-minutes", "account"])),
        lookUp: v.optional(v.picklist(["authoritative", "hint"])),
        validUntil: v.optional(v.picklist(["enforced", "ignored"])),
        inFlightMs: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
        ordersPerAccount: v.optional(
          v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(100)),
        ),
        closes: v.optional(v.literal("once")),
      }),
    ),
  ),
  /** Orders a second that all workers of a region together may send to it; absent: as many as there are. */
  FANFARE_BROKER_RATE: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^\d{1,6}(?:\.\d{1,3})?$/, "orders a second"),
      v.transform(Number),
      v.minValue(0.001),
    ),
  ),
  /** Jobs and questions that a broker worker has in flight at once, over all its partitions: up to 512 orders each. */
  FANFARE_JOBS_IN_FLIGHT: v.optional(
    v.pipe(v.string(), v.regex(/^\d{1,4}$/, "a whole number"), v.transform(Number), v.minValue(2)),
    "64",
  ),
  /**
   * After how long a job that its worker did not finish is taken over by another: longer than a job
   * can take, which is the time until its deadline, the second of asking, and a call's time limit.
   */
  FANFARE_RECLAIM_IDLE_MS: v.optional(
    v.pipe(v.string(), v.regex(/^\d{1,7}$/, "milliseconds"), v.transform(Number)),
    "10000",
  ),
  /** For crash tests alone: `<point>:<n>:<kill or stop>`, see workers/runtime/crash-point.ts. */
  FANFARE_CRASH_AT: v.optional(
    v.pipe(v.string(), v.regex(/^[a-z-]+:\d+:(?:kill|stop)$/, "a crash point")),
  ),
  FANFARE_DESK_URL: v.optional(url("http:", "https:"), "http://127.0.0.1:8791"),
  /** What the copier shows the desk to trade in its followers' accounts. */
  FANFARE_DESK_TOKEN: v.optional(v.pipe(v.string(), v.minLength(16))),
  FANFARE_DESK_PORT: v.optional(port, "8791"),
  /** How long a pending order of the desk is valid; a run that must not depend on its own speed sets it high. */
  FANFARE_DESK_PENDING_MS: v.optional(
    v.pipe(v.string(), v.regex(/^[1-9]\d{0,11}$/, "milliseconds"), v.transform(Number)),
    "60000",
  ),
  /** Lines a second that a desk server takes of each user who speaks for themselves, counted over four seconds. */
  FANFARE_DESK_LINES_PER_SECOND: v.optional(
    v.pipe(v.string(), v.regex(/^[1-9]\d{0,6}$/, "a whole number above zero"), v.transform(Number)),
    "1000",
  ),
  FANFARE_RECORDS_PORT: v.optional(port, "8790"),
  /** The Ed25519 private JWK that tokens and chain heads are signed with. */
  FANFARE_ISSUER_KEY: v.optional(
    v.pipe(json("an Ed25519 private JWK"), v.looseObject({ kty: v.literal("OKP"), d: v.string() })),
  ),
  /** The key (base64url, 32 bytes) that seals webhook secrets for the edge. */
  FANFARE_SEAL_KEY: v.optional(
    v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{43}$/, "32 bytes in base64url")),
  ),
  /** What the demo provider signs in with; drawn, and kept in FANFARE_DATA, unless set. */
  FANFARE_DEMO_PASSWORD: v.optional(v.pipe(v.string(), v.minLength(8), v.maxLength(256))),
  /** The secret of the demo hooks; drawn, and kept in FANFARE_DATA, unless set. */
  FANFARE_DEMO_HOOK_SECRET: v.optional(
    v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{24,128}$/, "24 to 128 of A-Z a-z 0-9 _ -")),
  ),
  /** The quote sources: a feed that streams, and a server that is asked. */
  FANFARE_QUOTES_STREAMING: v.optional(url("tcp:"), "tcp://127.0.0.1:8793"),
  FANFARE_QUOTES_ASKED: v.optional(url("tcp:"), "tcp://127.0.0.1:8792"),
  /** The symbols that are streamed, with commas between; any other is asked for. */
  FANFARE_QUOTES_SYMBOLS: v.optional(
    v.pipe(
      v.string(),
      v.transform((text) => text.split(",")),
      v.array(v.pipe(v.string(), v.regex(SYMBOL_PATTERN, "a symbol, such as EUR/USD or R_100"))),
    ),
    "EUR/USD,GBP/USD,USD/JPY,BTC/USD,R_100",
  ),
  FANFARE_QUOTES_PORT: v.optional(port, "8794"),
  /** `simulated` or `real`: whether a price may be shown without that label. */
  FANFARE_QUOTES_KIND: v.optional(v.picklist(["simulated", "real"]), "simulated"),
  FANFARE_SIMULATOR_ASKED_PORT: v.optional(port, "8792"),
  FANFARE_SIMULATOR_STREAMING_PORT: v.optional(port, "8793"),
  FANFARE_SIMULATOR_SEED: v.optional(
    v.pipe(v.string(), v.regex(/^\d+$/), v.transform(Number)),
    "1",
  ),
  /** `legacy` answers as slowly as the real server does; `none` at once. */
  FANFARE_SIMULATOR_LATENCY: v.optional(v.picklist(["none", "legacy"]), "none"),
  /** A file of `SYM,price` lines, read again at each step: prices that stand still in place of the walk. `*` is every other symbol, and `-` no price. */
  FANFARE_SIMULATOR_PRICES: v.optional(v.string()),
});

export type WorkerEnv = v.InferOutput<typeof WorkerSchema>;

export type EnvResult =
  | { readonly ok: true; readonly value: WorkerEnv }
  | { readonly ok: false; readonly faults: readonly string[] };

export function readEnv(source: Readonly<Record<string, string | undefined>>): EnvResult {
  const parsed = v.safeParse(WorkerSchema, source);
  const faults = (parsed.issues ?? []).map(
    (issue) => `${v.getDotPath(issue) ?? "?"} must be ${issue.message}`,
  );
  for (const name of Object.keys(source)) {
    if (name.startsWith("FANFARE_") && !Object.hasOwn(WorkerSchema.entries, name)) {
      faults.push(`${name} is not a setting`);
    }
  }
  return faults.length === 0 && parsed.success
    ? { ok: true, value: parsed.output }
    : { ok: false, faults };
}

/** Every region's Redis by its name: the one that this process works on, where no others are named. */
export function regionRedisUrls(env: WorkerEnv): Readonly<Record<string, string>> {
  return env.FANFARE_REGION_REDIS_URLS ?? { [env.FANFARE_REGION]: env.FANFARE_REDIS_URL };
}

/** A setting that only some roles need is missing; its message is ours and may be shown. */
export class MissingSetting extends Error {}

/** The value of a setting that this role cannot do without. */
export function required<Name extends keyof WorkerEnv>(
  env: WorkerEnv,
  name: Name,
): NonNullable<WorkerEnv[Name]> {
  const value = env[name];
  if (value === undefined || value === null) throw new MissingSetting(`${name} must be set`);
  return value;
}

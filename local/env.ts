/**
 * The settings of `npm start`: parsed once, all faults reported together. It creates every other
 * setting itself.
 */
import { resolve } from "node:path";
import * as v from "valibot";

const mongodbUri = v.pipe(
  v.string(),
  v.regex(/^mongodb(\+srv)?:\/\//, "a URL starting with mongodb: or mongodb+srv:"),
);

export const LocalSchema = v.object({
  /** The address at which the edge listens; every address of this machine if not set. */
  HOST: v.optional(
    v.pipe(
      v.string(),
      v.ip("an IP address of this machine, 127.0.0.1 for this machine alone, or 0.0.0.0 for all"),
    ),
  ),
  /** The port at which the edge listens. */
  PORT: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^\d{1,5}$/, "a port number"),
      v.transform(Number),
      v.minValue(1, "a port number"),
      v.maxValue(65_535, "a port number"),
    ),
    "8787",
  ),
  /** Where all data are stored between starts. */
  FANFARE_DATA: v.optional(v.pipe(v.string(), v.minLength(1, "a folder")), ".data"),
  /**
   * With `everysec` the last second may be lost when the machine dies; with `always`, nothing that
   * was answered.
   */
  FANFARE_DURABILITY: v.optional(
    v.picklist(["everysec", "always"], "everysec or always"),
    "everysec",
  ),
  /** The records' MongoDB; without it they are SQLite in FANFARE_DATA. */
  MONGODB_URI: v.optional(mongodbUri),
  /** The MongoDB of the desk's audit; without it, it is where the records are. */
  AUDIT_MONGODB_URI: v.optional(mongodbUri),
});

export interface Settings {
  readonly host: string | undefined;
  readonly port: number;
  /** Absolute. */
  readonly data: string;
  readonly durability: "everysec" | "always";
  readonly mongodbUri: string | undefined;
  readonly auditMongodbUri: string | undefined;
}

export type SettingsResult =
  | { readonly ok: true; readonly value: Settings }
  | { readonly ok: false; readonly faults: readonly string[] };

export function readSettings(
  source: Readonly<Record<string, string | undefined>>,
  root: string,
): SettingsResult {
  const parsed = v.safeParse(LocalSchema, source);
  const faults = (parsed.issues ?? []).map(
    (issue) => `${v.getDotPath(issue) ?? "?"} must be ${issue.message}`,
  );
  for (const name of Object.keys(source)) {
    if (/^FANFARE_(?!TEST_)/.test(name) && !Object.hasOwn(LocalSchema.entries, name)) {
      faults.push(`${name} is not a setting of npm start`);
    }
  }
  if (faults.length > 0 || !parsed.success) return { ok: false, faults };
  const { HOST, PORT, FANFARE_DATA, FANFARE_DURABILITY, MONGODB_URI, AUDIT_MONGODB_URI } =
    parsed.output;
  return {
    ok: true,
    value: {
      host: HOST,
      port: PORT,
      data: resolve(root, FANFARE_DATA),
      durability: FANFARE_DURABILITY,
      mongodbUri: MONGODB_URI,
      auditMongodbUri: AUDIT_MONGODB_URI,
    },
  };
}

/** One line for people; a password inside an address is not in it. */
export function summarizeSettings(settings: Settings): string {
  const { host, port, data, durability } = settings;
  const store = (uri: string | undefined): string =>
    uri === undefined ? "SQLite" : `MongoDB at ${readHosts(uri)}`;
  const apart = settings.auditMongodbUri;
  const audit = apart === undefined ? "" : `, audit in ${store(apart)}`;
  const at = host === undefined ? "" : ` at ${host}`;
  return `port ${port}${at}, data in ${data}, Redis fsync ${durability}, records in ${store(settings.mongodbUri)}${audit}`;
}

/** A list of hosts cannot be parsed as a URL, so the user part is removed at the last @. */
function readHosts(mongodbUri: string): string {
  const authority = mongodbUri.replace(/^[^/]*\/\//, "").split(/[/?]/)[0] ?? "";
  return authority.slice(authority.lastIndexOf("@") + 1);
}

/**
 * What a Redis is set up for: the version of what is stored in it, and into how
 * many partitions it is cut. Each partition holds its own copy, so that a node
 * of a cluster that lost its data is noticed. The first process to use a Redis
 * writes it; every other one compares, and must stop where it differs, as it
 * would look for keys where they are not. It says nothing of whether the data
 * are there: that is what `filled.ts` marks in the same hash.
 */
import { formatKey, HomeKeys, RegionKeys } from "./keys.ts";
import { asInteger, asList, defineScript, type Script } from "./script.ts";

/** Of what is stored in Redis, by this code. What an older version wrote is read, a newer one is refused. */
export const FORMAT_VERSION = 1;
export const DEFAULT_PARTITIONS = 4;
export const MAX_PARTITIONS = 1024;

/** The number of partitions on its way up, by `npm run partitions`. */
export interface Raise {
  readonly from: number;
  readonly to: number;
  /** Epoch milliseconds, of the entries that split the desk's audit. */
  readonly atMs: number;
  /** Whether all data is in its new partition; then its copies in the old partition are removed. */
  readonly isCopied: boolean;
}

/** What one partition holds. Numbers that cannot be read are NaN. */
interface Header {
  readonly version: number;
  readonly partitions: number;
  readonly raise?: Raise;
}

interface PartitionState {
  /** Undefined where nobody wrote one, or it was lost. */
  readonly header: Header | undefined;
  /** Whether the partition holds any of the keys that every used partition has. */
  readonly isUsed: boolean;
  /** Whether a recorder has run on it: it makes its group in each partition that the home has. */
  readonly isRecorded: boolean;
}

/** Of the desk's own keys, those that every used partition has; a test holds them to the desk's. */
export function deskKeysInUse(partition: number): readonly string[] {
  return [`desk:{${partition}}:balances`, `desk:{${partition}}:audit`];
}

const readLua = `
local header = redis.call('HMGET', format, 'version', 'partitions')
local used, recorded = redis.call('EXISTS', unpack(KEYS, rest_keys)), 0
local groups = redis.pcall('XINFO', 'GROUPS', links)
if not groups.err and #groups > 0 then recorded = 1 end
return {header[1] or '', header[2] or '', used, recorded}
`;

export const readFormat = defineScript<{ readonly partition: number }, PartitionState>({
  name: "read-format",
  lua: readLua,
  keys: {
    format: ({ partition }) => formatKey(partition),
    links: ({ partition }) => new HomeKeys(partition).links,
  },
  restKeys({ partition }) {
    const home = new HomeKeys(partition);
    const region = new RegionKeys(partition);
    return [
      home.links,
      region.events,
      home.signals,
      home.halts,
      region.halts,
      region.layers,
      region.run,
      ...deskKeysInUse(partition),
    ];
  },
  reply(raw) {
    const [version, partitions, used, recorded] = asList(raw);
    return {
      header: version === "" && partitions === "" ? undefined : headerOf(version, partitions),
      isUsed: asInteger(used) > 0,
      isRecorded: asInteger(recorded) === 1,
    };
  },
});

interface WriteArgs {
  readonly partition: number;
  readonly partitions: number;
}

/** Writes a partition's copy if it has none. Replies what it holds then, which another process may have written. */
export const writeFormat = defineScript<WriteArgs, Header>({
  name: "write-format",
  lua: `
if redis.call('HEXISTS', format, 'version') == 0 then redis.call('HSET', format, 'version', version, 'partitions', partitions) end
local header = redis.call('HMGET', format, 'version', 'partitions')
return {header[1] or '', header[2] or ''}
`,
  keys: { format: ({ partition }) => formatKey(partition) },
  args: {
    version: () => FORMAT_VERSION,
    partitions: ({ partitions }) => partitions,
  },
  reply(raw) {
    const [version, partitions] = asList(raw);
    return headerOf(version, partitions);
  },
});

/** `4>16@<ms>` while data are copied, `16<4@<ms>` while the old copies are removed: no release takes it for a number. */
export function partitionsText({ from, to, atMs, isCopied }: Raise): string {
  return isCopied ? `${to}<${from}@${atMs}` : `${from}>${to}@${atMs}`;
}

function headerOf(version: unknown, partitions: unknown): Header {
  const whole = (raw: unknown): number => (/^\d{1,9}$/.test(String(raw)) ? Number(raw) : NaN);
  const [, now, sign, other, atMs] =
    /^(\d{1,9})([<>])(\d{1,9})@(\d{1,15})$/.exec(String(partitions)) ?? [];
  if (sign === undefined) return { version: whole(version), partitions: whole(partitions) };
  const [from, to] = sign === "<" ? [Number(other), Number(now)] : [Number(now), Number(other)];
  const raise = { from, to, atMs: Number(atMs), isCopied: sign === "<" };
  return { version: whole(version), partitions: Number(now), raise };
}

/** Fields to `HMGET` of `formatKey`. */
export const HEADER_FIELDS = ["version", "partitions"] as const;

/** What such a read says: undefined where it is as wanted; `lost` where there is no header; or why it differs. */
export function compareHeader(
  raw: unknown,
  wanted: number,
): "lost" | { readonly why: string } | undefined {
  const [version, partitions] = asList(raw);
  if (version === null && partitions === null) return "lost";
  const why = differenceOf(headerOf(version, partitions), wanted);
  return why === undefined ? undefined : { why };
}

/** Runs a script on one Redis once for each of these. Rejects where the Redis does not answer. */
export type RunAll = <Args, Reply>(
  script: Script<Args, Reply>,
  each: readonly Args[],
) => Promise<readonly Reply[]>;

export type FormatReply =
  | {
      readonly kind: "same";
      /** Partitions without a header, and empty, in a Redis that is in use: their data were lost. */
      readonly lost: readonly number[];
    }
  /** One line for who runs the system: what is stored, what is configured, what to do. */
  | { readonly kind: "differs"; readonly why: string };

/** The number of partitions that a Redis is set up for; undefined where that is not stored. Writes nothing. */
export async function storedPartitions(runAll: RunAll): Promise<number | undefined> {
  const seen = await readStates(runAll, 1);
  const stored = seen.find(({ header }) => header)?.header;
  return stored && isReadable(stored) ? stored.partitions : undefined;
}

/** Compares a Redis with the number of partitions that is wanted and with this code, and writes what is missing. */
export async function compareFormat(runAll: RunAll, partitions: number): Promise<FormatReply> {
  const seen = await readStates(runAll, partitions);
  const stored = seen.find(({ header }) => header)?.header;
  const why = stored ? differenceOf(stored, partitions) : traceOf(seen, partitions);
  if (why !== undefined) return { kind: "differs", why };

  const states = seen.slice(0, partitions);
  const missing = states.flatMap(({ header }, partition) => (header ? [] : [partition]));
  // Of two processes that begin at once with different numbers, the one that writes the first
  // partition goes on to the others.
  const [first, ...others] = missing.map((partition) => ({ partition, partitions }));
  const written = [
    ...(first ? await runAll(writeFormat, [first]) : []),
    ...states.flatMap(({ header }) => header ?? []),
  ];
  const other = written.map((header) => differenceOf(header, partitions)).find(Boolean);
  if (other !== undefined) return { kind: "differs", why: other };
  if (others.length > 0) await runAll(writeFormat, others);

  const isInUse = states.some(({ isUsed }) => isUsed);
  const lost = isInUse ? missing.filter((partition) => !states[partition]?.isUsed) : [];
  return { kind: "same", lost: stored ? lost : [] };
}

export type RaiseState =
  | { readonly kind: "still"; readonly partitions: number }
  /** A raise was begun and has not ended. */
  | { readonly kind: "raising"; readonly raise: Raise }
  /** It cannot be raised: one line for who runs the system. */
  | { readonly kind: "unfit"; readonly why: string };

/** The state of a Redis that is to be raised. Writes nothing. */
export async function readRaise(runAll: RunAll): Promise<RaiseState> {
  const seen = await runAll(readFormat, range(MAX_PARTITIONS));
  const headers = seen.flatMap(({ header }) => header ?? []);
  const [first] = headers;
  if (!first)
    return { kind: "unfit", why: "it stores no number of partitions: start a worker on it" };
  for (const { raise: _, ...header } of headers) {
    const why = differenceOf(header, header.partitions);
    if (why !== undefined) return { kind: "unfit", why };
  }
  const raises = headers.flatMap(({ raise }) => raise ?? []);
  // The first that is copied says that all is.
  const raise = raises.find(({ isCopied }) => isCopied) ?? raises[0];
  if (raise) return { kind: "raising", raise };
  const { partitions } = first;
  const lost = seen
    .slice(0, partitions)
    .findIndex(({ header }) => header?.partitions !== partitions);
  if (lost < 0) return { kind: "still", partitions };
  const why = `partition ${lost} has lost its data: run roster:rebuild and desk:restore first`;
  return { kind: "unfit", why };
}

/** All that there may be, where none of the first is stored: at the first use, or where their nodes lost their data. */
async function readStates(runAll: RunAll, first: number): Promise<readonly PartitionState[]> {
  const seen = await runAll(readFormat, range(first));
  const isStored = seen.some(({ header }) => header);
  return isStored ? seen : await runAll(readFormat, range(MAX_PARTITIONS));
}

function range(count: number): { readonly partition: number }[] {
  return Array.from({ length: count }, (_, partition) => ({ partition }));
}

function isReadable({ version, partitions }: Header): boolean {
  return version >= 1 && partitions >= 1 && partitions <= MAX_PARTITIONS;
}

function differenceOf(stored: Header, wanted: number): string | undefined {
  const { version, partitions } = stored;
  if (!isReadable(stored)) {
    return "its format cannot be read (`format:{0}` and so on): restore it from a backup";
  }
  if (version > FORMAT_VERSION) {
    return `its data have format version ${version}, and this release reads up to ${FORMAT_VERSION}: start the release that wrote them, or a newer one`;
  }
  if (stored.raise) {
    const { from, to } = stored.raise;
    return `its data are on their way from ${from} to ${to} partitions: run \`npm run partitions -- ${to}\` to its end`;
  }
  if (partitions === wanted) return undefined;
  return `its data are in ${partitions} partitions, and this process is set for ${wanted}: set FANFARE_PARTITIONS to ${partitions}`;
}

/** What a Redis without any header shows of its partitions: that of a release that wrote none. */
function traceOf(seen: readonly PartitionState[], wanted: number): string | undefined {
  const used = seen.findLastIndex(({ isUsed }) => isUsed) + 1;
  if (used > wanted) {
    return `its data are in at least ${used} partitions, and this process is set for ${wanted}: set FANFARE_PARTITIONS to the number that they were written with`;
  }
  const recorded = seen.filter(({ isRecorded }) => isRecorded).length;
  const isWhole = seen.slice(0, recorded).every(({ isRecorded }) => isRecorded);
  if (recorded === 0 || recorded === wanted || !isWhole) return undefined;
  return `its data seem to be in ${recorded} partitions, and this process is set for ${wanted}: set FANFARE_PARTITIONS to ${recorded}, or, where ${wanted} is right all the same, \`HSET format:{0} version ${FORMAT_VERSION} partitions ${wanted}\``;
}

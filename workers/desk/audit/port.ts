/**
 * Where the desk's audit lasts: the entries of its streams, each kept whole
 * under its own id, so that writing one again changes nothing. One port, two
 * drivers. Of a user is noted in which minutes they did something, so that one
 * user's log is read without going through everybody's.
 */
import { fieldsOf } from "../../runtime/entries.ts";

/** An entry of `desk:{p}:audit`, as the stream carries it. */
export interface StoredEntry {
  readonly partition: number;
  /** The stream's own id, `ms-sequence`. */
  readonly id: string;
  readonly fields: ReadonlyMap<string, string>;
}

export interface AuditRange {
  readonly partition: number;
  /** The first id that is wanted; absent: from the beginning. */
  readonly from?: string;
  /** The first id that is no longer wanted; absent: to the end. */
  readonly before?: string;
  /** Only entries of minutes in which this user did something, or `MANY_USERS` did: there are others' in them. */
  readonly user?: string;
}

export interface AuditStore {
  append(entries: readonly StoredEntry[]): Promise<void>;
  /** The first entry of a partition. */
  first(partition: number): Promise<StoredEntry | undefined>;
  /** In the order of their ids. */
  read(range: AuditRange): AsyncGenerator<StoredEntry>;
  close(): Promise<void>;
}

export const PAGE = 200;
const MINUTE_MS = 60_000;

/** Sorts as partition, time and sequence do. */
export function keyOf(partition: number, id: string): string {
  const [ms = "0", sequence = "0"] = id.split("-");
  return `${String(partition).padStart(4, "0")}-${ms.padStart(15, "0")}-${sequence.padStart(9, "0")}`;
}

export function idOf(key: string): string {
  const [, ms, sequence] = key.split("-");
  return `${Number(ms)}-${Number(sequence)}`;
}

export function minuteOf(id: string): number {
  return Math.floor(Number(id.split("-")[0]) / MINUTE_MS);
}

/** The keys that a range means: from the first, up to but without the second. */
export function boundsOf({ partition, from = "0-0", before }: AuditRange): [string, string] {
  return [
    keyOf(partition, from),
    before === undefined ? keyOf(partition + 1, "0-0") : keyOf(partition, before),
  ];
}

/** What of a range lies in one minute; nothing where they do not meet. */
export function withinMinute(range: AuditRange, minute: number): [string, string] | undefined {
  const [from, before] = boundsOf(range);
  const first = keyOf(range.partition, `${minute * MINUTE_MS}-0`);
  const after = keyOf(range.partition, `${(minute + 1) * MINUTE_MS}-0`);
  const bounds: [string, string] = [from > first ? from : first, before < after ? before : after];
  return bounds[0] < bounds[1] ? bounds : undefined;
}

/** An entry is text that repeats itself: names, symbols, numbers that grow. */
export function pack(fields: ReadonlyMap<string, string>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Bun.zstdCompressSync(JSON.stringify([...fields].flat()), { level: 1 }));
}

export function unpack(body: Uint8Array): ReadonlyMap<string, string> {
  return fieldsOf(JSON.parse(Bun.zstdDecompressSync(body).toString()) as string[]);
}

/** Which minutes of which users have been noted lately, so that each is written about once. */
export class NotedMinutes {
  #minute = 0;
  readonly #noted = new Set<string>();

  /** `user minute` of all that were not noted yet. */
  newIn(entries: readonly StoredEntry[]): [user: string, minute: number, partition: number][] {
    const found: [string, number, number][] = [];
    for (const { partition, id, fields } of entries) {
      const minute = minuteOf(id);
      if (minute > this.#minute) {
        this.#minute = minute;
        this.#noted.clear();
      }
      for (const user of (fields.get("users") ?? "").split(" ")) {
        const name = `${user} ${minute} ${partition}`;
        if (user === "" || this.#noted.has(name)) continue;
        this.#noted.add(name);
        found.push([user, minute, partition]);
      }
    }
    return found;
  }

  /** What was noted may not have been written. */
  forget(): void {
    this.#noted.clear();
  }
}

/**
 * The durable store of the desk's audit. Each entry of the streams is stored whole under
 * its own id, so writing one again changes nothing. There is one port with two drivers.
 * The store notes in which minutes each user did something, so that one user's log is read
 * without reading all entries.
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
  /** The first id to read; absent: from the beginning. */
  readonly from?: string;
  /** The first id not to read; absent: to the end. */
  readonly before?: string;
  /**
   * Only entries of minutes in which this user, or `MANY_USERS`, did something. They also
   * contain other users' events.
   */
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

/** A key that sorts by partition, time and sequence. */
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

/** The keys of a range: from the first, up to but without the second. */
export function boundsOf({ partition, from = "0-0", before }: AuditRange): [string, string] {
  return [
    keyOf(partition, from),
    before === undefined ? keyOf(partition + 1, "0-0") : keyOf(partition, before),
  ];
}

/** The part of a range inside one minute; undefined if there is none. */
export function withinMinute(range: AuditRange, minute: number): [string, string] | undefined {
  const [from, before] = boundsOf(range);
  const first = keyOf(range.partition, `${minute * MINUTE_MS}-0`);
  const after = keyOf(range.partition, `${(minute + 1) * MINUTE_MS}-0`);
  const bounds: [string, string] = [from > first ? from : first, before < after ? before : after];
  return bounds[0] < bounds[1] ? bounds : undefined;
}

/** An entry is text with many repetitions: names, symbols, increasing numbers. */
export function pack(fields: ReadonlyMap<string, string>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Bun.zstdCompressSync(JSON.stringify([...fields].flat()), { level: 1 }));
}

export function unpack(body: Uint8Array): ReadonlyMap<string, string> {
  return fieldsOf(JSON.parse(Bun.zstdDecompressSync(body).toString()) as string[]);
}

/** The minutes of users that were noted lately, so that each is written only once. */
export class NotedMinutes {
  #minute = 0;
  readonly #noted = new Set<string>();

  /** `user minute` for each one that is not noted yet. */
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

  /** Forgets all notes, because what was noted may not have been written. */
  forget(): void {
    this.#noted.clear();
  }
}

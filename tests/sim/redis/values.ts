/**
 * A Redis' data and replies, in memory. Only the part of Redis that the project uses: missing
 * features throw, so that a new command cannot be simulated by accident.
 */
export type Value =
  | { readonly kind: "string"; text: string }
  | { readonly kind: "hash"; readonly fields: Map<string, string> }
  | { readonly kind: "set"; readonly members: Set<string> }
  | { readonly kind: "zset"; readonly scores: Map<string, number> }
  | { readonly kind: "list"; readonly items: string[] }
  | Stream;

export interface StreamId {
  readonly ms: number;
  readonly seq: number;
}

export interface StreamEntry {
  readonly id: StreamId;
  readonly flat: readonly string[];
}

export interface PendingEntry {
  readonly id: StreamId;
  consumer: string;
  deliveredAtMs: number;
  deliveries: number;
}

export interface ConsumerGroup {
  lastId: StreamId;
  /** By the id's text. */
  readonly pending: Map<string, PendingEntry>;
  readonly consumers: Set<string>;
}

export interface Stream {
  readonly kind: "stream";
  entries: StreamEntry[];
  lastId: StreamId;
  readonly groups: Map<string, ConsumerGroup>;
}

export type Kind = Value["kind"];

/** `+OK`: a script sees it as a table, a client as a text. */
export class Status {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A map: an object to a RESP3 client, a flat list to a script. */
export class Pairs {
  readonly flat: readonly Reply[];

  constructor(flat: readonly Reply[]) {
    this.flat = flat;
  }
}

export type Reply = number | string | null | Status | Pairs | readonly Reply[];

/** An error reply: an expected answer of a Redis, unlike anything else that is thrown. */
export class RedisError extends Error {}

export const OK = new Status("OK");

interface Slot {
  readonly value: Value;
  expiresAtMs?: number;
}

export class Store {
  readonly #slots = new Map<string, Slot>();
  /**
   * The id that `INFO` reports; another id after a restart. Without a start, the run begins when it
   * is first asked.
   */
  run: { id: string; startedAtMs?: number } = { id: "1".repeat(40) };

  #slot(key: string, nowMs: number): Slot | undefined {
    const slot = this.#slots.get(key);
    if (slot?.expiresAtMs === undefined || slot.expiresAtMs > nowMs) return slot;
    this.#slots.delete(key);
    return undefined;
  }

  get<K extends Kind>(
    key: string,
    kind: K,
    nowMs: number,
  ): Extract<Value, { kind: K }> | undefined {
    const value = this.#slot(key, nowMs)?.value;
    if (value === undefined) return undefined;
    if (value.kind !== kind) {
      throw new RedisError("WRONGTYPE Operation against a key holding the wrong kind of value");
    }
    return value as Extract<Value, { kind: K }>;
  }

  has(key: string, nowMs: number): boolean {
    return this.#slot(key, nowMs) !== undefined;
  }

  kindOf(key: string, nowMs: number): Kind | undefined {
    return this.#slot(key, nowMs)?.value.kind;
  }

  /** Replaces any old value, and its time to live. */
  put(key: string, value: Value, expiresAtMs?: number): void {
    this.#slots.set(key, expiresAtMs === undefined ? { value } : { value, expiresAtMs });
  }

  delete(key: string): boolean {
    return this.#slots.delete(key);
  }

  expire(key: string, atMs: number, nowMs: number): boolean {
    const slot = this.#slot(key, nowMs);
    if (!slot) return false;
    slot.expiresAtMs = atMs;
    return true;
  }

  expiryOf(key: string, nowMs: number): number | undefined {
    return this.#slot(key, nowMs)?.expiresAtMs;
  }

  keys(nowMs: number): string[] {
    return [...this.#slots.keys()].filter((key) => this.has(key, nowMs));
  }

  clear(): void {
    this.#slots.clear();
  }
}

/** One call of one command. */
export interface Call {
  readonly store: Store;
  readonly nowMs: number;
  /** Set by a command that wrote something: only these commands are in the append-only log. */
  changed: boolean;
}

export type Command = (call: Call, args: readonly string[]) => Reply;

export function integer(text: string | undefined): number {
  if (text === undefined || !/^-?\d+$/.test(text)) {
    throw new RedisError("ERR value is not an integer or out of range");
  }
  return Number(text);
}

/** Arguments in groups of `size`, as of `HSET key field value field value`. */
export function groupArguments(
  command: string,
  args: readonly string[],
  size: number,
): readonly string[][] {
  if (args.length === 0 || args.length % size !== 0) {
    throw new RedisError(`ERR wrong number of arguments for '${command}' command`);
  }
  return Array.from({ length: args.length / size }, (_, index) =>
    args.slice(index * size, (index + 1) * size),
  );
}

/** An option word, in upper case; an option that is not simulated throws. */
export function unsupported(what: string): never {
  throw new Error(`the simulated Redis does not know ${what}`);
}

/**
 * Every key of the desk. All keys of a partition have its number as their hash tag, so a
 * script that stays inside one partition touches one slot of a Redis Cluster. The account
 * decides the desk partition.
 */

/** Keys of one desk partition: the house broker's own books. */
export class DeskKeys {
  readonly #prefix: string;

  constructor(partition: number) {
    this.#prefix = `desk:{${partition}}`;
  }

  /** HASH account → free balance in cents. */
  get balances(): string {
    return `${this.#prefix}:balances`;
  }
  /**
   * HASH account → a version, which every commit of commands or triggers renews. If it is
   * the same before and after a read, the account did not change in between.
   */
  get versions(): string {
    return `${this.#prefix}:versions`;
  }
  /** HASH of the deposit ids that were applied. */
  get deposits(): string {
    return `${this.#prefix}:deposits`;
  }
  /** HASH symbol → `priceMicros,sourceTimeMs`: the newest streamed quote. */
  get quotes(): string {
    return `${this.#prefix}:quotes`;
  }
  /** ZSET of `sourceTimeMs,priceMicros` by source time: the streamed quotes of the last minutes. */
  ticks(symbol: string): string {
    return `${this.#prefix}:ticks:${symbol}`;
  }
  /**
   * HASH of contracts, packed by the call that opened them; one hash for each prefix of the
   * client order ids.
   */
  contracts(bucket: string): string {
    return `${this.#prefix}:contracts:${bucket}`;
  }
  /** ZSET `field bucket symbol` → expiry in ms: contracts that were opened together settle together. */
  get expiries(): string {
    return `${this.#prefix}:expiries`;
  }
  /** STREAM of settlements, for the copier to follow. */
  get settlements(): string {
    return `${this.#prefix}:settlements`;
  }
  /** HASH user → pending buys, newest first: `symbol,shares,priceCents,atMs;` for each. */
  get buys(): string {
    return `${this.#prefix}:buys`;
  }
  /** HASH user → pending sells, as `buys`. */
  get sells(): string {
    return `${this.#prefix}:sells`;
  }
  /** HASH `user symbol` → shares, and what is set for triggers, see `stored/fields.ts`. */
  get positions(): string {
    return `${this.#prefix}:positions`;
  }
  /** HASH user → the symbols of which the user ever had a position, separated by blanks. */
  get symbols(): string {
    return `${this.#prefix}:symbols`;
  }
  /** HASH user → the last few changes of the account, newest first. */
  get history(): string {
    return `${this.#prefix}:history`;
  }
  /** HASH user → the last command of each of the last sessions, with its reply. */
  get sessions(): string {
    return `${this.#prefix}:sessions`;
  }
  /**
   * ZSET of waiting buy triggers, all scores 0: `symbol priceCents user`, ordered by their
   * text.
   */
  get buyTriggers(): string {
    return `${this.#prefix}:buy-triggers`;
  }
  /** ZSET of waiting sell triggers, as `buyTriggers`. */
  get sellTriggers(): string {
    return `${this.#prefix}:sell-triggers`;
  }
  /** STRING (a number): how many transactions are in the audit, by the highest number. */
  get audited(): string {
    return `${this.#prefix}:audited`;
  }
  /** STRING (a number): how many transactions have been used or reserved. */
  get transactions(): string {
    return `${this.#prefix}:transactions`;
  }
  /** STREAM of audit entries, one for each atomic step; group `recorder`. */
  get audit(): string {
    return `${this.#prefix}:audit`;
  }
  /** The name under which one restore prepares a key's replacement. */
  prepared(key: string, restorer: string): string {
    return `${this.#prefix}:prepared:${restorer}:${key.slice(this.#prefix.length + 1)}`;
  }
}

/** The keys of a partition that need nothing but its number. */
type PlainKey = {
  [Name in keyof DeskKeys]: DeskKeys[Name] extends string ? Name : never;
}[keyof DeskKeys];

/** The partition's keys that a call names, as a script declares them. */
export function deskKeys(
  ...names: readonly PlainKey[]
): Readonly<Record<string, (call: { readonly partition: number }) => string>> {
  return Object.fromEntries(
    names.map((name) => [name, ({ partition }) => new DeskKeys(partition)[name]]),
  );
}

/** STRING (`priceMicros,sourceTimeMs`) of an asked quote, shared by all servers. */
export function askedQuoteKey(symbol: string): string {
  return `quotes:{${symbol}}:asked`;
}

/** STRING (a token): the server that is asking for this symbol at the moment. */
export function askingKey(symbol: string): string {
  return `quotes:{${symbol}}:asking`;
}

/** STRING (a number): how many quotes were asked and paid for. */
export const PAID_QUOTES_KEY = "quotes:paid";

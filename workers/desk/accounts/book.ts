/**
 * The accounts of a desk partition as this server knows them. It works on them
 * in memory and commits what became of them, which is done only if they stood as
 * it knew them: where somebody else was quicker it reads them, and works again.
 * So what is kept here is a copy that may be thrown away at any moment.
 */
import { commitAccounts } from "../stored/commit.ts";
import { noChanges, type AccountDraft } from "../stored/draft.ts";
import type { DeskCall, Reserved } from "../stored/transaction.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { readDrafts } from "./read.ts";

/** Accounts that are kept: at least so many that were wanted last, and at most twice as many. */
const MAX_KEPT = 2_000;
/** Numbers that were reserved so long ago are not used: others have been given since. */
const RESERVED_VALID_MS = 1_000;
/** Somebody else gets ahead of an account now and then, not always. */
const MAX_TRIES = 1_000;

/** What work on accounts goes by. */
export interface Desk {
  /** By the Redis' clock. */
  readonly atMs: number;
  account(user: string): AccountDraft;
  /** A number that is higher than those of all that happened to these accounts. */
  nextTransaction(): number;
}

/** What was done to accounts, by the events that say so, in their order. */
export interface Work<Result> {
  readonly result: Result;
  readonly events: readonly DeskEvent[];
}

export interface DeskEvent {
  readonly account: AccountDraft;
  /** A line, see `stored/audit.ts`. */
  readonly text: string;
}

/** Versions of one server differ from those of every other. */
const server = crypto.randomUUID().slice(0, 8);
let commits = 0;

export class AccountBook {
  readonly #redis: Redis;
  readonly #call: DeskCall;
  #kept = new Map<string, AccountDraft>();
  /** Those that were wanted before as many others. */
  #older = new Map<string, AccountDraft>();
  #next = 0;
  #left = 0;
  #lastGiven = 0;
  #reservedAtMs = 0;
  /** How far the Redis' clock is ahead of this one. */
  #aheadMs = 0;

  constructor(redis: Redis, call: DeskCall) {
    this.#redis = redis;
    this.#call = call;
  }

  /**
   * One piece of work at a time; `work` may be called again, on accounts that were
   * read again. Rejects as Redis does: then it may have been done or not.
   */
  async work<Result>(
    users: readonly string[],
    transactions: number,
    work: (desk: Desk) => Work<Result>,
  ): Promise<Result> {
    try {
      for (let tries = 0; tries < MAX_TRIES; tries += 1) {
        await this.#prepare(users, transactions);
        const desk = this.#desk();
        const { result, events } = work(desk);
        if (events.length === 0 || (await this.#commit(events, desk.atMs))) return result;
        this.#forget(users);
      }
    } catch (error) {
      this.#forget(users);
      throw error;
    }
    throw new Error("others are always quicker");
  }

  async #prepare(users: readonly string[], transactions: number): Promise<void> {
    if (this.#kept.size > MAX_KEPT) {
      this.#older = this.#kept;
      this.#kept = new Map();
    }
    const unknown: string[] = [];
    for (const user of users) {
      if (this.#kept.has(user)) continue;
      const older = this.#older.get(user);
      if (older) this.#kept.set(user, older);
      else unknown.push(user);
    }
    const isReserved =
      this.#left >= transactions && performance.now() - this.#reservedAtMs < RESERVED_VALID_MS;
    if (unknown.length === 0 && isReserved) return;
    const read = await readDrafts(this.#redis, this.#call, [...new Set(unknown)], transactions);
    for (const draft of read.drafts) this.#kept.set(draft.user, draft);
    this.#heard(read, transactions);
  }

  #desk(): Desk {
    return {
      atMs: Date.now() + this.#aheadMs,
      account: (user) => {
        const account = this.#kept.get(user);
        if (!account) throw new Error("an account that was not read");
        return account;
      },
      nextTransaction: () => {
        if (this.#left === 0) throw new Error("a transaction that was not reserved");
        const transaction = this.#next;
        this.#lastGiven = transaction;
        this.#next += this.#call.partitions;
        this.#left -= 1;
        return transaction;
      },
    };
  }

  async #commit(events: readonly DeskEvent[], atMs: number): Promise<boolean> {
    const accounts = [...new Set(events.map(({ account }) => account))];
    const changes = noChanges();
    for (const account of accounts) account.addTo(changes);
    commits += 1;
    const version = `${server}${commits.toString(36)}`;
    // The next piece of work is likely to be of the same size.
    const reserve = 2 * events.length;
    const reply = await run(this.#redis, commitAccounts, {
      ...this.#call,
      version,
      accounts,
      changes,
      reserve,
      atMs,
      lastTransaction: this.#lastGiven,
      events: events.map(({ text }) => text),
    });
    if (!reply.done) {
      this.#left = 0;
      return false;
    }
    this.#heard(reply, reserve);
    for (const account of accounts) account.committed(version);
    return true;
  }

  #heard({ nowMs, first }: Reserved, count: number): void {
    this.#aheadMs = nowMs - Date.now();
    this.#next = first;
    this.#left = count;
    this.#reservedAtMs = performance.now();
  }

  #forget(users: readonly string[]): void {
    for (const user of users) {
      this.#kept.delete(user);
      this.#older.delete(user);
    }
  }
}

/**
 * The accounts of a desk partition, as this server last read them. The server executes
 * commands in memory and then commits the changes. The commit succeeds only if the
 * accounts are unchanged in Redis. If another server was faster, this server reads them
 * and executes the commands again. So this is a cache, which may be dropped at any moment.
 */
import { commitAccounts } from "../stored/commit.ts";
import { noChanges, type AccountDraft } from "../stored/draft.ts";
import type { DeskCall, Reserved } from "../stored/transaction.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { readDrafts } from "./read.ts";

/** Accounts in the cache: at least this many of the last used, at most twice as many. */
const MAX_RECENT = 2_000;
/** Numbers that were reserved longer ago are not used: higher ones have been given out since. */
const RESERVED_VALID_MS = 1_000;
/** Another server is faster now and then, not always. */
const MAX_TRIES = 1_000;

/** What work on accounts starts from. */
export interface Desk {
  /** By Redis' clock. */
  readonly atMs: number;
  account(user: string): AccountDraft;
  /** A number higher than those of all earlier transactions of these accounts. */
  nextTransaction(): number;
}

/** What was done to accounts: the events that record it, in their order. */
export interface Work<Result> {
  readonly result: Result;
  readonly events: readonly DeskEvent[];
}

export interface DeskEvent {
  readonly account: AccountDraft;
  /** A line of the audit, see `stored/audit.ts`. */
  readonly text: string;
}

/** The versions of one server differ from those of every other. */
const server = crypto.randomUUID().slice(0, 8);
let commits = 0;

export class AccountBook {
  readonly #redis: Redis;
  readonly #call: DeskCall;
  #recent = new Map<string, AccountDraft>();
  /** Accounts that were used before as many others were. */
  #older = new Map<string, AccountDraft>();
  #next = 0;
  #left = 0;
  #lastGiven = 0;
  #reservedAtMs = 0;
  /** How far Redis' clock is ahead of this one. */
  #aheadMs = 0;

  constructor(redis: Redis, call: DeskCall) {
    this.#redis = redis;
    this.#call = call;
  }

  /**
   * Call it for one piece of work at a time. `work` may be called again, with accounts that
   * were read again. If Redis fails, this rejects, and the commit may or may not have
   * happened.
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
    throw new Error("other servers were faster at every try");
  }

  async #prepare(users: readonly string[], transactions: number): Promise<void> {
    if (this.#recent.size > MAX_RECENT) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    const unknown: string[] = [];
    for (const user of users) {
      if (this.#recent.has(user)) continue;
      const older = this.#older.get(user);
      if (older) this.#recent.set(user, older);
      else unknown.push(user);
    }
    const isReserved =
      this.#left >= transactions && performance.now() - this.#reservedAtMs < RESERVED_VALID_MS;
    if (unknown.length === 0 && isReserved) return;
    const read = await readDrafts(this.#redis, this.#call, [...new Set(unknown)], transactions);
    for (const draft of read.drafts) this.#recent.set(draft.user, draft);
    this.#heard(read, transactions);
  }

  #desk(): Desk {
    return {
      atMs: Date.now() + this.#aheadMs,
      account: (user) => {
        const account = this.#recent.get(user);
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
    // The next piece of work is likely to have the same size.
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
      this.#recent.delete(user);
      this.#older.delete(user);
    }
  }
}

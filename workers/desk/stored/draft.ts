/**
 * An account as a desk server read it, with its changes until they are committed.
 * `domain/desk/rules.ts` changes it. `stored/commit.ts` writes the changes and their
 * events, if the account is unchanged in Redis.
 */
import {
  noPosition,
  type Account,
  type Order,
  type Position,
} from "../../../domain/desk/account.ts";
import type { Change, Fired } from "../../../domain/desk/rules.ts";
import { summaryOf, type AccountChange, type DeskSummary } from "../../../domain/desk/summary.ts";
import { packLastCommand, parseLastCommand, senderOfSession, type LastCommand } from "./session.ts";
import {
  packChange,
  packOrders,
  packPosition,
  packTrigger,
  parseHistory,
  parseOrders,
  parsePosition,
  SHOWN_HISTORY,
} from "./fields.ts";

/** Sessions of one sender at an account of which the last command is stored. */
const MAX_SESSIONS = 4;
/** The same for all its senders together. */
const MAX_ALL_SESSIONS = 16;

/** An account's fields in the hashes of its partition; empty if there are none. */
export interface AccountFields {
  readonly version: string;
  readonly balance: string;
  readonly buys: string;
  readonly sells: string;
  readonly history: string;
  readonly symbols: string;
  /** In the order of `symbols`. */
  readonly positions: readonly string[];
  readonly sessions: string;
  /** In the order of `sessions`. */
  readonly replies: readonly string[];
}

interface DraftPosition {
  readonly symbol: string;
  readonly position: Position;
  /** Whether the field exists. */
  isKnown: boolean;
  isChanged: boolean;
  /** The members of the sorted sets of waiting triggers. */
  buyPriceCents: number;
  sellPriceCents: number;
}

interface Remembered {
  readonly change: AccountChange;
  /** The stored text. */
  readonly row: string;
}

interface Session {
  readonly name: string;
  /** Undefined if its field is lost. */
  last: LastCommand | undefined;
  isChanged: boolean;
}

/**
 * What a commit writes. For each hash: field, value, field, value …. For the waiting
 * triggers: their texts, and a score before each one that is set.
 */
export interface Changes {
  readonly balances: string[];
  readonly positions: string[];
  readonly buys: string[];
  readonly sells: string[];
  readonly symbols: string[];
  readonly sessions: string[];
  readonly history: string[];
  /** Fields of `sessions`. */
  readonly forgotten: string[];
  readonly unsetBuys: string[];
  readonly unsetSells: string[];
  readonly setBuys: string[];
  readonly setSells: string[];
}

export function noChanges(): Changes {
  return {
    balances: [],
    positions: [],
    buys: [],
    sells: [],
    symbols: [],
    sessions: [],
    history: [],
    forgotten: [],
    unsetBuys: [],
    unsetSells: [],
    setBuys: [],
    setSells: [],
  };
}

export class AccountDraft implements Account {
  readonly user: string;
  balanceCents: number | undefined;
  /** The values in Redis, as this server last read or wrote them. */
  version: string;
  balance: string;
  #buys: readonly Order[];
  #sells: readonly Order[];
  #symbols: string;
  /** The latest changes, newest first. */
  #history: readonly Remembered[];
  readonly #positions = new Map<string, DraftPosition>();
  readonly #changedPositions: DraftPosition[] = [];
  #sessions: Session[];
  readonly #forgotten: string[] = [];
  #buysChanged = false;
  #sellsChanged = false;
  #symbolsChanged = false;
  #historyChanged = false;
  #sessionsChanged = false;

  constructor(user: string, fields: AccountFields) {
    this.user = user;
    this.version = fields.version;
    this.balance = fields.balance;
    this.balanceCents = fields.balance === "" ? undefined : Number(fields.balance);
    this.#buys = parseOrders(fields.buys);
    this.#sells = parseOrders(fields.sells);
    this.#history = parseHistory(fields.history).map(remembered);
    this.#symbols = fields.symbols;
    for (const [index, symbol] of wordsOf(fields.symbols).entries()) {
      this.#addPosition(symbol, parsePosition(fields.positions[index] ?? ""), true);
    }
    this.#sessions = wordsOf(fields.sessions).map((name, index) => {
      const text = fields.replies[index] ?? "";
      return { name, last: text === "" ? undefined : parseLastCommand(text), isChanged: false };
    });
  }

  get buys(): readonly Order[] {
    return this.#buys;
  }
  set buys(orders: readonly Order[]) {
    this.#buys = orders;
    this.#buysChanged = true;
  }
  get sells(): readonly Order[] {
    return this.#sells;
  }
  set sells(orders: readonly Order[]) {
    this.#sells = orders;
    this.#sellsChanged = true;
  }

  #addPosition(symbol: string, position: Position, isKnown: boolean): DraftPosition {
    const { buyPriceCents, sellPriceCents } = position;
    const drafted = { symbol, position, isKnown, isChanged: false, buyPriceCents, sellPriceCents };
    this.#positions.set(symbol, drafted);
    return drafted;
  }

  position(symbol: string): Position {
    const drafted = this.#positions.get(symbol) ?? this.#addPosition(symbol, noPosition(), false);
    return drafted.position;
  }

  keep(symbol: string): void {
    const drafted = this.#positions.get(symbol);
    if (!drafted || drafted.isChanged) return;
    drafted.isChanged = true;
    this.#changedPositions.push(drafted);
    if (drafted.isKnown) return;
    // The last of the symbols that are owned.
    this.#positions.delete(symbol);
    this.#positions.set(symbol, drafted);
    this.#symbols = this.#symbols === "" ? symbol : `${this.#symbols} ${symbol}`;
    this.#symbolsChanged = true;
  }

  /** `command` is its name in the history. */
  remember(transaction: number, command: string, change: Change, atMs: number): void {
    const { symbol, cents, shares } = change;
    const of = symbol === "" ? null : symbol;
    const newest = remembered({ transaction, command, symbol: of, cents, shares, atMs });
    this.#history = [newest, ...this.#history.slice(0, SHOWN_HISTORY - 1)];
    this.#historyChanged = true;
  }

  rememberFired(side: "buy" | "sell", symbol: string, fired: Fired, atMs: number): void {
    const { transaction, totalCents: cents, shares } = fired;
    const command = side === "buy" ? "BOUGHT" : "SOLD";
    this.remember(transaction, command, { symbol, cents, shares }, atMs);
  }

  lastCommand(session: string): LastCommand | undefined {
    for (const each of this.#sessions) if (each.name === session) return each.last;
    return undefined;
  }

  /**
   * The newest sessions of each sender are stored. A sender displaces another's sessions
   * only if there are very many.
   */
  answer(name: string, last: LastCommand): void {
    for (const each of this.#sessions) {
      if (each.name !== name) continue;
      each.last = last;
      each.isChanged = true;
      return;
    }
    const sender = senderOfSession(name);
    let ofSender = 0;
    const sessions: Session[] = [];
    for (const each of [{ name, last, isChanged: true }, ...this.#sessions]) {
      const isOfSender = senderOfSession(each.name) === sender;
      if (isOfSender) ofSender += 1;
      const isOver = isOfSender && ofSender > MAX_SESSIONS;
      if (isOver || sessions.length === MAX_ALL_SESSIONS) this.#forgotten.push(each.name);
      else sessions.push(each);
    }
    this.#sessions = sessions;
    this.#sessionsChanged = true;
  }

  summary(moment: { readonly atMs: number; readonly pendingValidMs: number }): DeskSummary {
    const history = this.#history.map(({ change }) => change);
    // Positions that were only read are empty, and add nothing.
    const positions = this.#positions.values();
    return summaryOf({ positions, buys: this.#buys, sells: this.#sells, history }, moment);
  }

  /** Adds to a commit everything that differs from Redis. */
  addTo(changes: Changes): void {
    const { user } = this;
    const balance = this.balanceCents === undefined ? "" : String(this.balanceCents);
    if (balance !== this.balance) changes.balances.push(user, balance);
    if (this.#buysChanged) changes.buys.push(user, packOrders(this.#buys));
    if (this.#sellsChanged) changes.sells.push(user, packOrders(this.#sells));
    if (this.#symbolsChanged) changes.symbols.push(user, this.#symbols);
    if (this.#historyChanged)
      changes.history.push(user, this.#history.map(({ row }) => row).join(""));
    if (this.#sessionsChanged) {
      changes.sessions.push(user, this.#sessions.map(({ name }) => name).join(" "));
    }
    for (const { name, last, isChanged } of this.#sessions) {
      if (isChanged && last) changes.sessions.push(`${user} ${name}`, packLastCommand(last));
    }
    for (const name of this.#forgotten) changes.forgotten.push(`${user} ${name}`);
    for (const drafted of this.#changedPositions) {
      const { symbol, position } = drafted;
      changes.positions.push(`${user} ${symbol}`, packPosition(position));
      const { buyPriceCents: buy, sellPriceCents: sell } = position;
      if (drafted.buyPriceCents !== buy) {
        if (drafted.buyPriceCents > 0) {
          changes.unsetBuys.push(packTrigger(symbol, drafted.buyPriceCents, user));
        }
        if (buy > 0) changes.setBuys.push("0", packTrigger(symbol, buy, user));
      }
      if (drafted.sellPriceCents !== sell) {
        if (drafted.sellPriceCents > 0) {
          changes.unsetSells.push(packTrigger(symbol, drafted.sellPriceCents, user));
        }
        if (sell > 0) changes.setSells.push("0", packTrigger(symbol, sell, user));
      }
    }
  }

  /** The changes are in Redis now. */
  committed(version: string): void {
    // A name without a balance gets no version.
    if (this.balanceCents !== undefined) {
      this.version = version;
      this.balance = String(this.balanceCents);
    }
    this.#buysChanged = false;
    this.#sellsChanged = false;
    this.#symbolsChanged = false;
    this.#historyChanged = false;
    this.#sessionsChanged = false;
    this.#forgotten.length = 0;
    for (const each of this.#sessions) each.isChanged = false;
    for (const drafted of this.#changedPositions) {
      drafted.isKnown = true;
      drafted.isChanged = false;
      drafted.buyPriceCents = drafted.position.buyPriceCents;
      drafted.sellPriceCents = drafted.position.sellPriceCents;
    }
    this.#changedPositions.length = 0;
  }
}

function remembered(change: AccountChange): Remembered {
  return { change, row: packChange(change) };
}

/** The parts of a text that blanks separate. */
export function wordsOf(text: string): string[] {
  return text === "" ? [] : text.split(" ");
}

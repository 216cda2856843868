/**
 * A workload file for the desk, generated from a seed: users add money, ask for quotes, buy, sell
 * and set triggers. The commands have the same shares as in the real files, and use what each user
 * has, so that most succeed. The same seed gives the same file.
 */
import { createWriteStream } from "node:fs";
import { once } from "node:events";
import { noise, walkOf } from "../workers/desk/simulator/walk.ts";

export interface GeneratedWorkload {
  readonly file: string;
  readonly users: number;
  readonly commands: number;
  readonly seed: number;
}

interface User {
  readonly name: string;
  balanceCents: number;
  readonly buys: Order[];
  readonly sells: Order[];
  readonly shares: Map<string, number>;
  readonly buySet: Map<string, number>;
  readonly sellSet: Map<string, number>;
}

interface Order {
  readonly symbol: string;
  readonly shares: number;
  readonly cents: number;
}

const SYMBOLS = 100;
/** How often each command is in the file of 45 users, per ten thousand. */
const SHARES = {
  ADD: 727,
  BUY: 1307,
  QUOTE: 1213,
  COMMIT_BUY: 1105,
  COMMIT_SELL: 813,
  SELL: 641,
  CANCEL_BUY: 510,
  CANCEL_SELL: 452,
  DISPLAY_SUMMARY: 750,
  SET_BUY_AMOUNT: 256,
  SET_BUY_TRIGGER: 488,
  CANCEL_SET_BUY: 443,
  SET_SELL_AMOUNT: 271,
  SET_SELL_TRIGGER: 497,
  CANCEL_SET_SELL: 481,
} as const;
type Name = keyof typeof SHARES;
/** A generated command that cannot succeed is still sent once in this many. */
const IN_VAIN_EVERY = 20;
/**
 * The quote server's random walk begins here. Prices move, so the generator relies on only half of
 * it.
 */
const SIMULATOR_SEED = 1;

export async function generateWorkload(options: GeneratedWorkload): Promise<void> {
  const out = createWriteStream(options.file);
  let text = "";
  for (const line of generateLines(options)) {
    text += line;
    if (text.length < 256 * 1024) continue;
    if (!out.write(text)) await once(out, "drain");
    text = "";
  }
  out.end(text);
  await once(out, "close");
}

function* generateLines({ users: count, commands, seed }: GeneratedWorkload): Generator<string> {
  let drawn = 0;
  /** 0 to below 1. */
  const draw = (): number => noise(seed, drawn++);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(draw() * of.length)] as T;
  const word = (letters: string, length: number): string =>
    Array.from({ length }, () => pick(letters.split(""))).join("");

  const users = Array.from({ length: count }, (_, index): User => {
    const name = `${word("abcdefghijklmnopqrstuvwxyz", 6)}${index}`;
    const empty = { buys: [], sells: [], shares: new Map(), buySet: new Map(), sellSet: new Map() };
    return { name, balanceCents: 0, ...empty };
  });
  const symbols = [
    ...new Set(Array.from({ length: SYMBOLS }, () => word("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 3))),
  ];
  const names = (Object.keys(SHARES) as Name[]).flatMap((name) =>
    Array.from({ length: SHARES[name] }, () => name),
  );

  const chance: Chance = {
    symbols,
    draw,
    pick,
    keyOf: (of) => (of.size === 0 ? undefined : pick([...of.keys()])),
  };

  for (let n = 1; n <= commands; n += 1) {
    const user = n <= count ? (users[n - 1] as User) : pick(users);
    let name: Name = n <= count ? "ADD" : pick(names);
    const inVain = draw() * IN_VAIN_EVERY < 1;
    for (let tries = 0; ; tries += 1) {
      const rest = ATTEMPTS[name](user, chance) ?? (inVain ? vain(name, pick(symbols)) : undefined);
      if (rest !== undefined) {
        yield `[${n}] ${name},${user.name}${rest}\n`;
        break;
      }
      name = tries < 8 ? pick(names) : "ADD";
    }
  }
}

interface Chance {
  readonly symbols: readonly string[];
  /** 0 to below 1. */
  draw(): number;
  pick<T>(of: readonly T[]): T;
  /** Undefined if there is none. */
  keyOf(of: ReadonlyMap<string, number>): string | undefined;
}

/** The arguments after the user's name of a command that should succeed; null if none can. */
const ATTEMPTS: Record<Name, (user: User, chance: Chance) => string | null> = {
  ADD(user, { draw }) {
    const cents = 3_000_000 + Math.floor(draw() * 8_000_000);
    user.balanceCents += cents;
    return `,${dollars(cents)}`;
  },
  QUOTE(_user, { symbols, pick }) {
    return `,${pick(symbols)}`;
  },
  DISPLAY_SUMMARY() {
    return "";
  },
  BUY(user, { symbols, draw, pick }) {
    const { buys } = user;
    const symbol = pick(symbols);
    const cents = 2 * findPrice(symbol) + Math.floor(draw() * 70_000);
    if (cents > user.balanceCents || buys.length > 20) return null;
    buys.push({ symbol, shares: Math.floor(cents / (2 * findPrice(symbol))), cents });
    return `,${symbol},${dollars(cents)}`;
  },
  COMMIT_BUY(user) {
    const { buys, shares } = user;
    const order = buys.at(-1);
    if (!order || order.cents > user.balanceCents) return null;
    buys.pop();
    user.balanceCents -= order.cents;
    shares.set(order.symbol, (shares.get(order.symbol) ?? 0) + order.shares);
    return "";
  },
  CANCEL_BUY(user) {
    const { buys } = user;
    return buys.pop() === undefined ? null : "";
  },
  SELL(user, { keyOf }) {
    const { sells, shares } = user;
    const symbol = keyOf(shares);
    if (symbol === undefined || sells.length > 20) return null;
    const owned = shares.get(symbol) ?? 0;
    if (owned < 4) return null;
    // At half a price the amount covers one share even if the price has doubled since.
    const cents = 2 * findPrice(symbol);
    if (cents > (owned * findPrice(symbol)) / 2) return null;
    sells.push({ symbol, shares: 4, cents });
    return `,${symbol},${dollars(cents)}`;
  },
  COMMIT_SELL(user) {
    const { sells, shares } = user;
    const order = sells.at(-1);
    if (!order || (shares.get(order.symbol) ?? 0) < order.shares) return null;
    sells.pop();
    keep(shares, order.symbol, (shares.get(order.symbol) ?? 0) - order.shares);
    return "";
  },
  CANCEL_SELL(user) {
    const { sells } = user;
    return sells.pop() === undefined ? null : "";
  },
  SET_BUY_AMOUNT(user, { symbols, draw, pick }) {
    const { buySet } = user;
    const symbol = pick(symbols);
    const cents = findPrice(symbol) + Math.floor(draw() * 70_000);
    if (cents > user.balanceCents) return null;
    user.balanceCents -= cents;
    buySet.set(symbol, cents);
    return `,${symbol},${dollars(cents)}`;
  },
  SET_BUY_TRIGGER(user, { keyOf }) {
    const { buySet } = user;
    const symbol = keyOf(buySet);
    if (symbol === undefined) return null;
    // Far below the price: the trigger waits.
    return `,${symbol},${dollars(1 + Math.floor(findPrice(symbol) / 4))}`;
  },
  CANCEL_SET_BUY(user, { keyOf }) {
    const { buySet } = user;
    const symbol = keyOf(buySet);
    if (symbol === undefined) return null;
    buySet.delete(symbol);
    return `,${symbol}`;
  },
  SET_SELL_AMOUNT(user, { keyOf }) {
    const { shares, sellSet } = user;
    const symbol = keyOf(shares);
    if (symbol === undefined || sellSet.has(symbol)) return null;
    const cents = Math.floor(((shares.get(symbol) ?? 0) * findPrice(symbol)) / 2);
    if (cents < 1) return null;
    sellSet.set(symbol, cents);
    return `,${symbol},${dollars(cents)}`;
  },
  SET_SELL_TRIGGER(user, { keyOf }) {
    const { sellSet } = user;
    const symbol = keyOf(sellSet);
    if (symbol === undefined) return null;
    // The whole amount for one share: far above the price, and little is reserved.
    return `,${symbol},${dollars(sellSet.get(symbol) ?? 1)}`;
  },
  CANCEL_SET_SELL(user, { keyOf }) {
    const { sellSet } = user;
    const symbol = keyOf(sellSet);
    if (symbol === undefined) return null;
    sellSet.delete(symbol);
    return `,${symbol}`;
  },
};

/** The same command with valid arguments that cannot succeed. */
function vain(name: Name, symbol: string): string {
  const amounts: Partial<Record<Name, string>> = {
    SELL: ",100.00",
    SET_SELL_AMOUNT: ",100.00",
    SET_BUY_TRIGGER: ",10.00",
    SET_SELL_TRIGGER: ",10.00",
    BUY: ",0.01",
    SET_BUY_AMOUNT: ",9000000000.00",
  };
  return /^(COMMIT|CANCEL)_(BUY|SELL)$/.test(name) ? "" : `,${symbol}${amounts[name] ?? ""}`;
}

function keep(of: Map<string, number>, symbol: string, shares: number): void {
  if (shares > 0) of.set(symbol, shares);
  else of.delete(symbol);
}

const prices = new Map<string, number>();

function findPrice(symbol: string): number {
  const known = prices.get(symbol);
  if (known !== undefined) return known;
  const cents = Math.round(walkOf(SIMULATOR_SEED, symbol).startMicros / 10_000);
  prices.set(symbol, cents);
  return cents;
}

function dollars(cents: number): string {
  return `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, "0")}`;
}

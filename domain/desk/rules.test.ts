import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DeskModel } from "../../tests/support/desk-model.ts";
import { MAX_HELD, noPosition, type Account, type Order, type Position } from "./account.ts";
import { DESK_COMMANDS, QUOTED_COMMANDS, type DeskCommandName } from "./command.ts";
import { ASKED_QUOTE_VALID_MS } from "./quote.ts";
import type { DeskRefusal } from "./refusals.ts";
import {
  executeCommand,
  fireBuy,
  fireSell,
  MAX_PENDING,
  type Done,
  type PricedCommand,
} from "./rules.ts";

const NOW_MS = 1_800_000_000_000;
const VALID_MS = 60_000;

/**
 * An account that stores a position only when a rule stores it, so a change without that
 * is lost.
 */
class StoredAccount implements Account {
  balanceCents: number | undefined;
  buys: readonly Order[] = [];
  sells: readonly Order[] = [];
  readonly stored = new Map<string, Position>();
  readonly #drafts = new Map<string, Position>();

  constructor(balanceCents?: number, positions: Readonly<Record<string, Partial<Position>>> = {}) {
    this.balanceCents = balanceCents;
    for (const [symbol, held] of Object.entries(positions)) {
      this.stored.set(symbol, { ...noPosition(), ...held });
    }
  }

  position(symbol: string): Position {
    const draft = this.#drafts.get(symbol) ?? { ...(this.stored.get(symbol) ?? noPosition()) };
    this.#drafts.set(symbol, draft);
    return draft;
  }

  keep(symbol: string): void {
    this.stored.set(symbol, { ...this.position(symbol) });
  }

  /** The step between two commands: the next command reads what was stored. */
  settle(): void {
    this.#drafts.clear();
  }

  held(symbol: string): Position {
    return this.stored.get(symbol) ?? noPosition();
  }

  /** Everything that a command can change, for comparison. */
  state(): object {
    const { balanceCents, buys, sells, stored } = this;
    return structuredClone({ balanceCents, buys, sells, stored });
  }
}

interface Asked extends Partial<PricedCommand> {
  readonly transaction?: number;
  readonly atMs?: number;
}

/** Executes a command on ABC. The default is a fresh quote of 500 cents. */
function execute(
  account: StoredAccount,
  name: DeskCommandName,
  { transaction = 7, atMs = NOW_MS, ...asked }: Asked = {},
): DeskRefusal | Done {
  const command = { symbol: "ABC", cents: 0, priceCents: 500, quoteTimeMs: atMs, ...asked };
  const done = executeCommand(account, name, command, {
    transaction,
    atMs,
    pendingValidMs: VALID_MS,
  });
  account.settle();
  return done;
}

const pending = (changes: Partial<Order> = {}): Order => ({
  symbol: "ABC",
  shares: 10,
  priceCents: 500,
  atMs: NOW_MS,
  ...changes,
});

describe("every command but ADD and DUMPLOG", () => {
  test.each(DESK_COMMANDS.filter((name) => name !== "ADD" && name !== "DUMPLOG"))(
    "%s is refused if the user has never added money",
    (name) => {
      expect(execute(new StoredAccount(), name, { cents: 100 })).toBe("USER_UNKNOWN");
    },
  );
});

describe("a command that is executed at a quote", () => {
  test.each([...QUOTED_COMMANDS])(
    "%s is refused without a quote, and with one that is too old",
    (name) => {
      const account = new StoredAccount(10_000, { ABC: { shares: 100, buyCents: 1_000 } });
      const before = account.state();
      expect(execute(account, name, { cents: 500, priceCents: 0 })).toBe("QUOTE_UNAVAILABLE");
      const old = { cents: 500, quoteTimeMs: NOW_MS - ASKED_QUOTE_VALID_MS - 1 };
      expect(execute(account, name, old)).toBe("QUOTE_UNAVAILABLE");
      expect(account.state()).toEqual(before);
    },
  );

  test("accepts a quote that is exactly a minute old", () => {
    const quoteTimeMs = NOW_MS - ASKED_QUOTE_VALID_MS;
    expect(execute(new StoredAccount(0), "QUOTE", { quoteTimeMs })).toEqual({
      told: { symbol: "ABC", priceCents: 500, quoteTimeMs },
    });
  });

  test.each(DESK_COMMANDS.filter((name) => !QUOTED_COMMANDS.has(name)))(
    "%s needs no quote",
    (name) => {
      const unquoted = { cents: 100, priceCents: 0, quoteTimeMs: 0 };
      expect(execute(new StoredAccount(1_000), name, unquoted)).not.toBe("QUOTE_UNAVAILABLE");
    },
  );
});

describe("ADD", () => {
  test("creates a new user, and adds to the balance", () => {
    const account = new StoredAccount();
    expect(execute(account, "ADD", { symbol: "", cents: 10_000 })).toEqual({
      told: {},
      change: { symbol: "", cents: 10_000, shares: 0 },
      movedCents: [10_000],
    });
    execute(account, "ADD", { cents: 1 });
    expect(account.balanceCents).toBe(10_001);
  });

  test("is refused if the balance would exceed its bound, and then creates no user", () => {
    const account = new StoredAccount(MAX_HELD - 1);
    expect(execute(account, "ADD", { cents: 2 })).toBe("BALANCE_TOO_HIGH");
    expect(execute(account, "ADD", { cents: 1 })).not.toBeString();
    expect(account.balanceCents).toBe(MAX_HELD);

    const unknown = new StoredAccount();
    expect(execute(unknown, "ADD", { cents: MAX_HELD + 1 })).toBe("BALANCE_TOO_HIGH");
    expect(unknown.balanceCents).toBeUndefined();
  });
});

describe("BUY", () => {
  test("creates a pending order for whole shares at the quote, and takes no money", () => {
    const account = new StoredAccount(5_999);
    expect(execute(account, "BUY", { cents: 5_999, priceCents: 1_000 })).toEqual({
      told: { symbol: "ABC", shares: 5, priceCents: 1_000, totalCents: 5_000 },
    });
    expect(account.buys).toEqual([pending({ shares: 5, priceCents: 1_000 })]);
    expect(account).toMatchObject({ balanceCents: 5_999, sells: [] });
  });

  test("is refused if the balance does not cover the amount, or the amount does not pay for one share", () => {
    const account = new StoredAccount(499);
    expect(execute(account, "BUY", { cents: 500 })).toBe("BALANCE_TOO_LOW");
    expect(execute(account, "BUY", { cents: 499 })).toBe("QUOTE_ABOVE_AMOUNT");
    expect(account.buys).toEqual([]);
    expect(execute(account, "BUY", { cents: 499, priceCents: 499 })).toMatchObject({
      told: { shares: 1 },
    });
  });
});

describe("SELL", () => {
  test("creates a pending order for whole shares at the quote, and takes no shares", () => {
    const account = new StoredAccount(0, { ABC: { shares: 10 } });
    expect(execute(account, "SELL", { cents: 4_999 })).toEqual({
      told: { symbol: "ABC", shares: 9, priceCents: 500, totalCents: 4_500 },
    });
    expect(account.sells).toEqual([pending({ shares: 9 })]);
    expect(account.held("ABC").shares).toBe(10);
  });

  test("is refused if the free shares are worth less than the amount: reserved shares do not count", () => {
    const account = new StoredAccount(0, { ABC: { shares: 9, reservedShares: 5 } });
    expect(execute(account, "SELL", { cents: 4_501 })).toBe("SHARES_TOO_FEW");
    expect(execute(account, "SELL", { cents: 4_500 })).not.toBeString();
  });

  test("is refused where the amount does not pay for one share", () => {
    const account = new StoredAccount(0, { ABC: { shares: 9 } });
    expect(execute(account, "SELL", { cents: 499 })).toBe("QUOTE_ABOVE_AMOUNT");
  });
});

describe.each([
  ["BUY", "buys", "CANCEL_BUY", "COMMIT_BUY", "BUY_NOT_PENDING"],
  ["SELL", "sells", "CANCEL_SELL", "COMMIT_SELL", "SELL_NOT_PENDING"],
] as const)("a pending %s", (name, pile, cancel, commit, notPending) => {
  const rich = () => new StoredAccount(1_000_000, { ABC: { shares: 1_000 } });

  test("is one of at most a hundred; expired ones do not count", () => {
    const account = rich();
    for (let count = 0; count < MAX_PENDING; count += 1) {
      expect(execute(account, name, { cents: 500 })).not.toBeString();
    }
    expect(execute(account, name, { cents: 500 })).toBe("PENDING_TOO_MANY");
    const atMs = NOW_MS + VALID_MS;
    expect(execute(account, name, { cents: 500, atMs: atMs - 1 })).toBe("PENDING_TOO_MANY");
    expect(execute(account, name, { cents: 500, atMs })).not.toBeString();
    expect(account[pile]).toHaveLength(1);
  });

  test("is committed or cancelled newest first", () => {
    for (const command of [commit, cancel]) {
      const account = rich();
      execute(account, name, { cents: 500 });
      execute(account, name, { cents: 1_500 });
      expect(execute(account, command)).toMatchObject({ told: { shares: 3, totalCents: 1_500 } });
      expect(execute(account, command)).toMatchObject({ told: { shares: 1, totalCents: 500 } });
      expect(execute(account, command)).toBe(notPending);
    }
  });

  test("can be committed and cancelled until its minute has passed", () => {
    for (const command of [commit, cancel]) {
      const account = rich();
      execute(account, name, { cents: 500 });
      const early = structuredClone(account[pile]);
      expect(execute(account, command, { atMs: NOW_MS + VALID_MS })).toBe(notPending);
      account[pile] = early;
      expect(execute(account, command, { atMs: NOW_MS + VALID_MS - 1 })).not.toBeString();
    }
  });

  test("moves nothing when it is cancelled", () => {
    const account = rich();
    const before = account.state();
    execute(account, name, { cents: 500 });
    expect(execute(account, cancel)).toEqual({
      told: { symbol: "ABC", shares: 1, totalCents: 500 },
    });
    expect(account.state()).toEqual(before);
  });
});

describe("COMMIT_BUY", () => {
  test("moves money and shares at the price of the order, not at today's quote", () => {
    const account = new StoredAccount(5_000);
    account.buys = [pending()];
    expect(execute(account, "COMMIT_BUY", { symbol: "", priceCents: 9_999 })).toEqual({
      told: { symbol: "ABC", shares: 10, totalCents: 5_000 },
      change: { symbol: "ABC", cents: 5_000, shares: 10 },
      movedCents: [-5_000],
    });
    expect(account.balanceCents).toBe(0);
    expect(account.held("ABC").shares).toBe(10);
  });

  test("consumes the order even if it fails, and then moves nothing", () => {
    const poor = new StoredAccount(4_999);
    poor.buys = [pending()];
    expect(execute(poor, "COMMIT_BUY")).toBe("BALANCE_TOO_LOW");
    expect(poor.state()).toEqual(new StoredAccount(4_999).state());

    const held = { shares: MAX_HELD - 19, reservedShares: 10 };
    const full = new StoredAccount(5_000, { ABC: held });
    full.buys = [pending()];
    expect(execute(full, "COMMIT_BUY")).toBe("SHARES_TOO_MANY");
    expect(full.state()).toEqual(new StoredAccount(5_000, { ABC: held }).state());
  });
});

describe("COMMIT_SELL", () => {
  test("moves shares and money at the price of the order", () => {
    const account = new StoredAccount(1, { ABC: { shares: 12 } });
    account.sells = [pending()];
    expect(execute(account, "COMMIT_SELL", { symbol: "", priceCents: 1 })).toEqual({
      told: { symbol: "ABC", shares: 10, totalCents: 5_000 },
      change: { symbol: "ABC", cents: 5_000, shares: 10 },
      movedCents: [5_000],
    });
    expect(account.balanceCents).toBe(5_001);
    expect(account.held("ABC").shares).toBe(2);
  });

  test("consumes the order even if it fails, and then moves nothing", () => {
    const held = { shares: 9, reservedShares: 10 };
    const few = new StoredAccount(0, { ABC: held });
    few.sells = [pending()];
    expect(execute(few, "COMMIT_SELL")).toBe("SHARES_TOO_FEW");
    expect(few.state()).toEqual(new StoredAccount(0, { ABC: held }).state());

    const full = new StoredAccount(MAX_HELD - 4_999, { ABC: { shares: 10 } });
    full.sells = [pending()];
    expect(execute(full, "COMMIT_SELL")).toBe("BALANCE_TOO_HIGH");
    expect(full.sells).toEqual([]);
    expect(full.held("ABC").shares).toBe(10);
  });
});

describe("SET_BUY_AMOUNT", () => {
  test("reserves the amount, after it returns an earlier one", () => {
    const account = new StoredAccount(1_000);
    expect(execute(account, "SET_BUY_AMOUNT", { cents: 700 })).toEqual({
      told: {},
      change: { symbol: "ABC", cents: 700, shares: 0 },
      movedCents: [-700],
    });
    // 300 are free: only the earlier 700 make it enough.
    expect(execute(account, "SET_BUY_AMOUNT", { cents: 900 })).toMatchObject({
      movedCents: [700, -900],
    });
    expect(account.balanceCents).toBe(100);
    expect(account.held("ABC").buyCents).toBe(900);
  });

  test("is refused above balance plus earlier amount, and the earlier one remains set", () => {
    const account = new StoredAccount(300, { ABC: { buyCents: 700, buyPriceCents: 5 } });
    const before = account.state();
    expect(execute(account, "SET_BUY_AMOUNT", { cents: 1_001 })).toBe("BALANCE_TOO_LOW");
    expect(account.state()).toEqual(before);
  });

  test("is refused if the returned amount would raise the balance above its bound", () => {
    const account = new StoredAccount(MAX_HELD, { ABC: { buyCents: 700 } });
    expect(execute(account, "SET_BUY_AMOUNT", { cents: 699 })).toBe("BALANCE_TOO_HIGH");
    expect(execute(account, "SET_BUY_AMOUNT", { cents: 700 })).not.toBeString();
  });

  test("removes the trigger of the earlier amount", () => {
    const account = new StoredAccount(1_000, { ABC: { buyCents: 700, buyPriceCents: 5 } });
    execute(account, "SET_BUY_AMOUNT", { cents: 600 });
    expect(account.held("ABC")).toMatchObject({ buyCents: 600, buyPriceCents: 0 });
  });
});

describe("SET_BUY_TRIGGER", () => {
  test("waits for a price at or below its own, under the transaction that set it", () => {
    const account = new StoredAccount(0, { ABC: { buyCents: 1_000 } });
    const asked = { cents: 400, priceCents: 401, transaction: 42 };
    expect(execute(account, "SET_BUY_TRIGGER", asked)).toEqual({
      told: { fired: 0 },
      change: { symbol: "ABC", cents: 400, shares: 0 },
    });
    expect(account.held("ABC")).toMatchObject({
      buyCents: 1_000,
      buyPriceCents: 400,
      buyTransaction: 42,
    });
  });

  test("fires at once at the quote if the quote meets it, and returns the rest", () => {
    const account = new StoredAccount(5, { ABC: { buyCents: 1_000, shares: 1 } });
    const asked = { cents: 400, priceCents: 400, transaction: 42 };
    expect(execute(account, "SET_BUY_TRIGGER", asked)).toMatchObject({
      told: { fired: 2 },
      fired: { transaction: 42, shares: 2, totalCents: 800, movedCents: [200] },
    });
    expect(account.balanceCents).toBe(205);
    expect(account.held("ABC")).toEqual({ ...noPosition(), shares: 3 });
  });

  test("is refused without an amount, and above it", () => {
    expect(execute(new StoredAccount(1_000), "SET_BUY_TRIGGER", { cents: 1 })).toBe(
      "BUY_AMOUNT_NOT_SET",
    );
    const account = new StoredAccount(0, { ABC: { buyCents: 1_000 } });
    expect(execute(account, "SET_BUY_TRIGGER", { cents: 1_001 })).toBe("PRICE_ABOVE_AMOUNT");
    expect(account.held("ABC").buyPriceCents).toBe(0);
    expect(execute(account, "SET_BUY_TRIGGER", { cents: 1_000 })).not.toBeString();
  });
});

describe("CANCEL_SET_BUY", () => {
  test("removes amount and trigger", () => {
    const held = { shares: 3, buyCents: 700, buyPriceCents: 5, buyTransaction: 9 };
    const account = new StoredAccount(1, { ABC: held });
    expect(execute(account, "CANCEL_SET_BUY")).toEqual({
      told: { totalCents: 700 },
      change: { symbol: "ABC", cents: 700, shares: 0 },
      movedCents: [700],
    });
    expect(account.balanceCents).toBe(701);
    expect(account.held("ABC")).toEqual({ ...noPosition(), shares: 3 });
  });

  test("is refused if nothing is set, and if the balance would exceed its bound", () => {
    expect(execute(new StoredAccount(1), "CANCEL_SET_BUY")).toBe("BUY_AMOUNT_NOT_SET");
    const account = new StoredAccount(MAX_HELD, { ABC: { buyCents: 1 } });
    expect(execute(account, "CANCEL_SET_BUY")).toBe("BALANCE_TOO_HIGH");
    expect(account.held("ABC").buyCents).toBe(1);
  });
});

describe("SET_SELL_AMOUNT", () => {
  test("removes an earlier one first: its reserved shares count, and are free again", () => {
    const held = { shares: 1, reservedShares: 9, sellCents: 4_500, sellPriceCents: 500 };
    const account = new StoredAccount(0, { ABC: held });
    expect(execute(account, "SET_SELL_AMOUNT", { cents: 5_000 })).toEqual({
      told: {},
      change: { symbol: "ABC", cents: 5_000, shares: 0 },
    });
    expect(account.held("ABC")).toEqual({ ...noPosition(), shares: 10, sellCents: 5_000 });
  });

  test("is refused if all shares together are worth less than the amount at the quote", () => {
    const held = { shares: 1, reservedShares: 9, sellCents: 4_500, sellPriceCents: 500 };
    const account = new StoredAccount(0, { ABC: held });
    const before = account.state();
    expect(execute(account, "SET_SELL_AMOUNT", { cents: 5_001 })).toBe("SHARES_TOO_FEW");
    expect(account.state()).toEqual(before);
  });
});

describe("SET_SELL_TRIGGER", () => {
  test("reserves as many shares as the amount buys at its price, rounded down, and waits", () => {
    const account = new StoredAccount(0, { ABC: { shares: 10, sellCents: 4_999 } });
    const asked = { cents: 1_000, priceCents: 999, transaction: 42 };
    expect(execute(account, "SET_SELL_TRIGGER", asked)).toEqual({
      told: { fired: 0 },
      change: { symbol: "ABC", cents: 1_000, shares: 4 },
    });
    expect(account.held("ABC")).toMatchObject({
      shares: 6,
      reservedShares: 4,
      sellPriceCents: 1_000,
      sellTransaction: 42,
    });
  });

  test("reserves again when it is set again", () => {
    const account = new StoredAccount(0, { ABC: { shares: 10, sellCents: 5_000 } });
    execute(account, "SET_SELL_TRIGGER", { cents: 1_000 });
    execute(account, "SET_SELL_TRIGGER", { cents: 600 });
    expect(account.held("ABC")).toMatchObject({ shares: 2, reservedShares: 8 });
  });

  test("fires at once at the quote if the quote meets it", () => {
    const account = new StoredAccount(5, { ABC: { shares: 10, sellCents: 4_000 } });
    const asked = { cents: 1_000, priceCents: 1_000, transaction: 42 };
    expect(execute(account, "SET_SELL_TRIGGER", asked)).toMatchObject({
      told: { fired: 4 },
      fired: { transaction: 42, shares: 4, totalCents: 4_000, movedCents: [4_000] },
    });
    expect(account.balanceCents).toBe(4_005);
    expect(account.held("ABC")).toEqual({ ...noPosition(), shares: 6 });
  });

  test("is refused without an amount, above it, and if fewer shares are owned", () => {
    expect(execute(new StoredAccount(0), "SET_SELL_TRIGGER", { cents: 1 })).toBe(
      "SELL_AMOUNT_NOT_SET",
    );
    const account = new StoredAccount(0, { ABC: { shares: 3, sellCents: 4_000 } });
    const before = account.state();
    expect(execute(account, "SET_SELL_TRIGGER", { cents: 4_001 })).toBe("PRICE_ABOVE_AMOUNT");
    expect(execute(account, "SET_SELL_TRIGGER", { cents: 1_000 })).toBe("SHARES_TOO_FEW");
    expect(account.state()).toEqual(before);
  });
});

describe("CANCEL_SET_SELL", () => {
  test("removes amount and trigger, and the reserved shares are free again", () => {
    const held = { shares: 6, reservedShares: 4, sellCents: 4_000, sellPriceCents: 1_000 };
    const account = new StoredAccount(1, { ABC: held });
    expect(execute(account, "CANCEL_SET_SELL")).toMatchObject({
      told: { shares: 4 },
      change: { symbol: "ABC", shares: 4 },
    });
    expect(account.held("ABC")).toEqual({ ...noPosition(), shares: 10 });
    expect(account.balanceCents).toBe(1);
    expect(execute(account, "CANCEL_SET_SELL")).toBe("SELL_AMOUNT_NOT_SET");
  });
});

test("DISPLAY_SUMMARY and DUMPLOG change nothing", () => {
  const account = new StoredAccount(7, { ABC: { shares: 1 } });
  const before = account.state();
  for (const name of ["DISPLAY_SUMMARY", "DUMPLOG"] as const) {
    expect(execute(account, name)).toEqual({ told: {} });
  }
  expect(execute(new StoredAccount(), "DUMPLOG")).toEqual({ told: {} });
  expect(account.state()).toEqual(before);
});

describe("a trigger that would raise its account above the bound", () => {
  test("continues to wait, and fires once it can", () => {
    const buying = { buyCents: 1_001, buyPriceCents: 500, buyTransaction: 9 };
    const full = new StoredAccount(MAX_HELD, { ABC: buying });
    expect(fireBuy(full, "ABC", 500)).toBeUndefined();
    full.settle();
    expect(full.held("ABC")).toMatchObject(buying);
    full.balanceCents = MAX_HELD - 1;
    expect(fireBuy(full, "ABC", 500)).toMatchObject({ transaction: 9, shares: 2 });

    const atCapacity = new StoredAccount(0, { ABC: { ...buying, shares: MAX_HELD - 1 } });
    expect(fireBuy(atCapacity, "ABC", 500)).toBeUndefined();

    const selling = { reservedShares: 2, sellCents: 1_000, sellPriceCents: 500 };
    const rich = new StoredAccount(MAX_HELD - 999, { ABC: selling });
    expect(fireSell(rich, "ABC", 500)).toBeUndefined();
    rich.settle();
    expect(rich.held("ABC")).toMatchObject(selling);
  });
});

describe("random commands", () => {
  const step = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant("command" as const),
        name: fc.constantFrom(...DESK_COMMANDS),
        user: fc.constantFrom("alice", "bob"),
        symbol: fc.constantFrom("ABC", "S"),
        cents: fc.integer({ min: 1, max: 3_000 }),
        priceCents: fc.oneof(fc.integer({ min: 1, max: 600 }), fc.constant(0)),
        quoteAgeMs: fc.constantFrom(0, ASKED_QUOTE_VALID_MS, ASKED_QUOTE_VALID_MS + 1),
        laterMs: fc.constantFrom(0, 1, VALID_MS / 2),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("quote" as const),
        symbol: fc.constantFrom("ABC", "S"),
        priceCents: fc.integer({ min: 1, max: 600 }),
      }),
    },
  );

  function listBooks(account: StoredAccount): object {
    const held = (field: "shares" | "reservedShares") =>
      Object.fromEntries(
        [...account.stored].flatMap(([symbol, { [field]: count }]) =>
          count > 0 ? [[symbol, count]] : [],
        ),
      );
    return {
      balanceCents: account.balanceCents,
      reservedCents: [...account.stored.values()].reduce((sum, { buyCents }) => sum + buyCents, 0),
      shares: held("shares"),
      reservedShares: held("reservedShares"),
    };
  }

  /** Fires the triggers of an account, as the desk does when a quote arrives. */
  function fire(account: StoredAccount, symbol: string, priceCents: number): number {
    const { buyPriceCents, sellPriceCents } = account.held(symbol);
    const buys = buyPriceCents > 0 && priceCents <= buyPriceCents;
    const bought = buys ? fireBuy(account, symbol, priceCents) : undefined;
    const sells = sellPriceCents > 0 && priceCents >= sellPriceCents;
    const sold = sells ? fireSell(account, symbol, priceCents) : undefined;
    account.settle();
    return (bought?.shares ?? 0) + (sold?.shares ?? 0);
  }

  test("get the replies of the plain model, and end with the same books", () => {
    let executed = 0;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120, size: "max" }), (steps) => {
        const model = new DeskModel(VALID_MS);
        const accounts = new Map<string, StoredAccount>();
        let atMs = NOW_MS;
        for (const each of steps) {
          if (each.kind === "quote") {
            const fired = [...accounts.values()]
              .filter(({ balanceCents }) => balanceCents !== undefined)
              .map((account) => fire(account, each.symbol, each.priceCents));
            expect(fired.reduce((sum, shares) => sum + shares, 0)).toBe(
              model.fire(each.symbol, each.priceCents),
            );
            continue;
          }
          atMs += each.laterMs;
          const { name, user, symbol, cents, priceCents, quoteAgeMs } = each;
          const account = accounts.get(user) ?? new StoredAccount();
          accounts.set(user, account);
          const balanceBefore = account.balanceCents ?? 0;
          const done = execute(account, name, {
            symbol,
            cents,
            priceCents,
            quoteTimeMs: atMs - quoteAgeMs,
            atMs,
          });
          const usable = priceCents > 0 && quoteAgeMs <= ASKED_QUOTE_VALID_MS;
          const command = { name, user, symbol, cents, file: "log" };
          const expected = model.execute(command, atMs, usable ? priceCents : undefined);
          if (typeof done === "string") {
            expect({ ok: false as const, code: done }).toEqual(expected as never);
          } else {
            executed += 1;
            expect(expected).toMatchObject({
              ok: true,
              balanceCents: account.balanceCents ?? 0,
              ...(done.told.fired === undefined ? {} : { fired: done.told.fired }),
            });
            // The movements in the audit must add up to the change of the balance, to the cent.
            const moved = [...(done.movedCents ?? []), ...(done.fired?.movedCents ?? [])];
            expect(moved.reduce((sum, each) => sum + each, balanceBefore)).toBe(
              account.balanceCents ?? 0,
            );
          }
        }
        for (const [user, books] of model.books()) {
          expect(listBooks(accounts.get(user) ?? new StoredAccount())).toEqual(books);
        }
      }),
      { numRuns: 150 },
    );
    expect(executed).toBeGreaterThan(1_000);
  });
});

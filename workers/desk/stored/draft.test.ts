import { describe, expect, test } from "bun:test";
import { AccountDraft, noChanges, type AccountFields, type Changes } from "./draft.ts";
import { SHOWN_HISTORY } from "./fields.ts";

const FIELDS: AccountFields = {
  version: "v1",
  balance: "500",
  buys: "ABC,3,100,9;",
  sells: "",
  history: "",
  symbols: "ABC XY",
  positions: ["7,0,200,50,6,0,0,0", "1"],
  sessions: "",
  replies: [],
};

const draftOf = (changes: Partial<AccountFields> = {}) =>
  new AccountDraft("alice", { ...FIELDS, ...changes });

/** What a commit would write, without its empty parts. */
function listChanges(draft: AccountDraft): Partial<Changes> {
  const changes = noChanges();
  draft.addTo(changes);
  return Object.fromEntries(Object.entries(changes).filter(([, list]) => list.length > 0));
}

describe("an account that was read", () => {
  test("has the values of its fields", () => {
    const draft = draftOf();
    expect(draft.balanceCents).toBe(500);
    expect(draft.buys).toMatchObject([{ symbol: "ABC", shares: 3, priceCents: 100, atMs: 9 }]);
    expect(draft.position("ABC")).toMatchObject({ shares: 7, buyCents: 200, buyPriceCents: 50 });
    expect(draft.position("XY")).toMatchObject({ shares: 1, buyCents: 0 });
    expect(draft.position("Z")).toMatchObject({ shares: 0 });
  });

  test("has no user if it has no balance field; a balance of zero is a balance", () => {
    expect(draftOf({ balance: "" }).balanceCents).toBeUndefined();
    expect(draftOf({ balance: "0" }).balanceCents).toBe(0);
  });

  test("is not written if it did not change, even if it was read", () => {
    const draft = draftOf();
    draft.position("Z");
    draft.position("ABC").shares = 99;
    expect(listChanges(draft)).toEqual({});
  });
});

describe("only changes are written", () => {
  test("a balance", () => {
    const draft = draftOf();
    draft.balanceCents = 501;
    expect(listChanges(draft)).toEqual({ balances: ["alice", "501"] });
    draft.balanceCents = 500;
    expect(listChanges(draft)).toEqual({});
  });

  test("a position that is stored, and a new one with its symbol", () => {
    const draft = draftOf();
    draft.position("XY").shares = 2;
    draft.keep("XY");
    expect(listChanges(draft)).toEqual({ positions: ["alice XY", "2"] });
    draft.position("Z").shares = 5;
    draft.keep("Z");
    draft.keep("Z");
    expect(listChanges(draft)).toEqual({
      positions: ["alice XY", "2", "alice Z", "5"],
      symbols: ["alice", "ABC XY Z"],
    });
  });

  test("a trigger with a new price, and one that was removed", () => {
    const draft = draftOf();
    draft.position("ABC").buyPriceCents = 60;
    draft.keep("ABC");
    expect(listChanges(draft)).toMatchObject({
      unsetBuys: ["ABC 0000000000050 alice"],
      setBuys: ["0", "ABC 0000000000060 alice"],
    });
    Object.assign(draft.position("ABC"), { buyCents: 0, buyPriceCents: 0 });
    expect(listChanges(draft)).toMatchObject({ unsetBuys: ["ABC 0000000000050 alice"] });
    expect(listChanges(draft)).not.toHaveProperty("setBuys");
  });

  test("pending orders of one side", () => {
    const draft = draftOf();
    draft.buys = [];
    expect(listChanges(draft)).toEqual({ buys: ["alice", ""] });
  });

  test("and what was committed is not written again, but later changes are", () => {
    const draft = draftOf();
    draft.balanceCents = 501;
    draft.position("ABC").buyPriceCents = 60;
    draft.keep("ABC");
    draft.position("Z").shares = 5;
    draft.keep("Z");
    draft.buys = [];
    draft.committed("v2");
    expect([draft.version, draft.balance]).toEqual(["v2", "501"]);
    expect(listChanges(draft)).toEqual({});
    draft.position("ABC").buyPriceCents = 70;
    draft.keep("ABC");
    expect(listChanges(draft)).toMatchObject({ unsetBuys: ["ABC 0000000000060 alice"] });
    expect(listChanges(draft)).not.toHaveProperty("symbols");
  });
});

test("an unknown user has no version, committed or not", () => {
  const draft = draftOf({ version: "", balance: "" });
  draft.committed("v2");
  expect([draft.version, draft.balance, draft.balanceCents]).toEqual(["", "", undefined]);
});

test("the latest changes are stored, newest first, and no more than are shown", () => {
  const draft = draftOf();
  for (let transaction = 1; transaction <= SHOWN_HISTORY + 2; transaction += 1) {
    draft.remember(transaction, "ADD", { symbol: "", cents: 5, shares: 0 }, 9);
  }
  const { history } = draft.summary({ atMs: 9, pendingValidMs: 60_000 });
  expect(history.map(({ transaction }) => transaction)).toEqual([7, 6, 5, 4, 3]);
  const read = draftOf({ history: listChanges(draft).history?.[1] ?? "" });
  expect(read.summary({ atMs: 9, pendingValidMs: 60_000 }).history).toEqual(history);
});

test("the summary shows the holdings in the order in which they began", () => {
  const draft = draftOf();
  draft.position("Z").shares = 5;
  draft.position("A").shares = 5;
  draft.keep("A");
  draft.keep("Z");
  const { holdings } = draft.summary({ atMs: 9, pendingValidMs: 60_000 });
  expect(holdings.map(({ symbol }) => symbol)).toEqual(["ABC", "XY", "A", "Z"]);
});

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { AccountId } from "../../../domain/ids.ts";
import {
  contractDesk,
  DESK,
  DESK_CALL,
  type ContractDesk,
} from "../../../tests/support/contracts.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { commandEvent, changesOf } from "./audit.ts";
import { commitAccounts, reserveTransactions, type CommitArgs } from "./commit.ts";
import { deposit } from "./deposit.ts";
import { AccountDraft, noChanges } from "./draft.ts";

let redis: ScriptRedis;
let desk: ContractDesk;
beforeAll(async () => {
  redis = await startScriptRedis();
  desk = contractDesk(redis);
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
});

/** An account as it was read, if only its version and its balance matter. */
const draftOf = (user: string, version = "", balance = ""): AccountDraft =>
  new AccountDraft(user, {
    version,
    balance,
    buys: "",
    sells: "",
    history: "",
    symbols: "",
    sessions: "",
    positions: [],
    replies: [],
  });

async function commit(accounts: readonly AccountDraft[], args: Partial<CommitArgs> = {}) {
  const changes = noChanges();
  for (const account of accounts) account.addTo(changes);
  const atMs = await redis.nowMs();
  const events = accounts.map(({ user }) => add(user));
  return await redis.run(commitAccounts, {
    ...DESK_CALL,
    atMs,
    version: "v1",
    accounts,
    changes,
    events,
    lastTransaction: 2,
    reserve: 10,
    ...args,
  });
}

const add = (user: string) =>
  commandEvent(2, { name: "ADD", user, symbol: "", cents: 500 }, "", [500]);

function withBalance(draft: AccountDraft, cents: number): AccountDraft {
  draft.balanceCents = cents;
  return draft;
}

describe("a commit", () => {
  test("writes the changes of each account, its version, and the audit entry, in one step", async () => {
    const alice = withBalance(draftOf("alice"), 500);
    alice.position("ABC").shares = 3;
    alice.keep("ABC");
    expect(await commit([alice, withBalance(draftOf("bob"), 700)])).toMatchObject({ done: true });
    expect(await desk.balances()).toEqual({ alice: 500, bob: 700 });
    expect(await redis.hash(DESK.positions)).toEqual({ "alice ABC": "3" });
    expect(await redis.hash(DESK.versions)).toEqual({ alice: "v1", bob: "v1" });
    const [entry, ...more] = await desk.audit();
    expect(more).toEqual([]);
    expect(entry?.users).toEqual(["alice", "bob"]);
    expect(Object.fromEntries(changesOf(entry?.changed.get("balances") ?? ""))).toEqual({
      alice: "500",
      bob: "700",
    });
    expect(Object.fromEntries(changesOf(entry?.changed.get("positions") ?? ""))).toEqual({
      "alice ABC": "3",
    });
    expect(await desk.events()).toMatchObject([{ user: "alice" }, { user: "bob" }]);
  });

  test("sets and removes waiting triggers together with their positions", async () => {
    const alice = withBalance(draftOf("alice"), 500);
    Object.assign(alice.position("ABC"), { buyCents: 100, buyPriceCents: 5, buyTransaction: 2 });
    alice.keep("ABC");
    await commit([alice]);
    expect(await redis.send("ZRANGE", DESK.buyTriggers, "0", "-1")).toEqual([
      "ABC 0000000000005 alice",
    ]);
    alice.committed("v1");
    Object.assign(alice.position("ABC"), { buyCents: 0, buyPriceCents: 0, buyTransaction: 0 });
    alice.keep("ABC");
    await commit([alice], { version: "v2" });
    expect(await redis.send("EXISTS", DESK.buyTriggers)).toBe(0);
  });

  test("for an unknown user leaves an audit entry, and no account", async () => {
    expect(await commit([draftOf("nobody"), withBalance(draftOf("alice"), 1)])).toMatchObject({
      done: true,
    });
    expect(await desk.balances()).toEqual({ alice: 1 });
    expect(await redis.hash(DESK.versions)).toEqual({ alice: "v1" });
    expect((await desk.audit())[0]?.users.toSorted()).toEqual(["alice", "nobody"]);
  });
});

describe("a commit changes nothing, and reserves nothing, if", () => {
  const refused = async (accounts: readonly AccountDraft[], args: Partial<CommitArgs> = {}) => {
    const before = await redis.everything();
    const reply = await commit(accounts, args);
    expect(await redis.everything()).toEqual(before);
    return reply.done;
  };

  test("one of its accounts has another version than was read", async () => {
    await commit([withBalance(draftOf("alice"), 500)]);
    const bob = withBalance(draftOf("bob"), 1);
    expect(await refused([bob, withBalance(draftOf("alice"), 9)])).toBe(false);
    expect(await refused([bob, withBalance(draftOf("alice", "v0", "500"), 9)])).toBe(false);
    expect((await commit([bob, withBalance(draftOf("alice", "v1", "500"), 9)])).done).toBe(true);
  });

  test("money was added to an account since it was read", async () => {
    await commit([withBalance(draftOf("alice"), 500)]);
    const deposits = [{ id: "d1", account: "alice" as AccountId, amountCents: 7 }];
    await redis.run(deposit, { ...DESK_CALL, deposits });
    expect(await refused([withBalance(draftOf("alice", "v1", "500"), 9)])).toBe(false);
  });

  test("it was decided too long ago, or at a time in the future", async () => {
    const alice = withBalance(draftOf("alice"), 500);
    for (const offMs of [-5_000, 5_000]) {
      const atMs = (await redis.nowMs()) + offMs;
      expect(await refused([alice], { atMs })).toBe(false);
    }
  });
});

describe("transactions", () => {
  test("are reserved for one server each, without an overlap, in steps of the number of partitions", async () => {
    const reserve = (count: number, partition = 1) =>
      redis.run(reserveTransactions, { ...DESK_CALL, partition, reserve: count });
    expect((await reserve(3)).first).toBe(2);
    expect((await reserve(1)).first).toBe(2 + 3 * 4);
    expect((await reserve(1, 0)).first).toBe(1);
    const { first } = await commit([withBalance(draftOf("alice"), 1)], { reserve: 5 });
    expect(first).toBe(2 + 4 * 4);
    expect((await reserve(1)).first).toBe(2 + 9 * 4);
  });

  test("are audited up to the highest, which never decreases", async () => {
    const alice = withBalance(draftOf("alice"), 1);
    await commit([alice], { lastTransaction: 2 + 9 * 4 });
    expect(await redis.send("GET", DESK.audited)).toBe("10");
    await commit([draftOf("nobody")], { lastTransaction: 2 + 4 * 4 });
    expect(await redis.send("GET", DESK.audited)).toBe("10");
  });
});

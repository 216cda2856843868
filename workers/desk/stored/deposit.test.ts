import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import type { AccountId } from "../../../domain/ids.ts";
import {
  contractDesk,
  DESK,
  DESK_CALL,
  type ContractDesk,
} from "../../../tests/support/contracts.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { deposit } from "./deposit.ts";

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

const send = (...rows: (readonly [id: string, account: string, amountCents: number])[]) =>
  redis.run(deposit, {
    ...DESK_CALL,
    deposits: rows.map(([id, account, amountCents]) => ({
      id,
      account: account as AccountId,
      amountCents,
    })),
  });

test("a deposit opens a new account, and adds to it", async () => {
  expect(await send(["1", "x", 100], ["2", "y", 50], ["3", "x", 7])).toBe(3);
  expect(await send(["4", "x", 1_000_000_000_000])).toBe(1);
  expect(await desk.balances()).toEqual({ x: 1_000_000_000_107, y: 50 });
});

test("a deposit is applied once by its id, even if the second one differs", async () => {
  await send(["1", "x", 100]);
  const before = await redis.everything();
  expect(await send(["1", "x", 100])).toBe(0);
  expect(await send(["1", "y", 999])).toBe(0);
  expect(await redis.everything()).toEqual(before);
  expect(await send(["1", "x", 100], ["2", "x", 5], ["2", "x", 5])).toBe(1);
  expect(await desk.balances()).toEqual({ x: 105 });
});

test("what was applied is one transaction of the audit, with the new balances", async () => {
  await send(["1", "x", 100]);
  await send(["1", "x", 100], ["2", "y", 5], ["3", "x", 1]);
  const [, entry] = await desk.audit();
  expect(new Map(pairs(entry?.changed.get("balances") ?? ""))).toEqual(
    new Map([
      ["x", "101"],
      ["y", "5"],
    ]),
  );
  const events = await desk.events();
  expect(events).toMatchObject([
    { name: "DEPOSIT", id: "1", user: "x", movedCents: [100] },
    { name: "DEPOSIT", id: "2", user: "y", movedCents: [5] },
    { name: "DEPOSIT", id: "3", user: "x", movedCents: [1] },
  ]);
  // Numbers of partition 1 of 4.
  expect(events.map(({ transaction }) => transaction)).toEqual([2, 6, 6]);
  expect(await redis.send("GET", DESK.audited)).toBe("2");
});

function pairs(text: string): [string, string][] {
  const flat = text.split("\n");
  return flat.flatMap((field, index) =>
    index % 2 === 0 ? [[field, flat[index + 1] ?? ""] as [string, string]] : [],
  );
}

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { DESK } from "../../../tests/support/contracts.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { packTrigger } from "./fields.ts";
import { waitingTriggers, type TriggerSide, type Waiting } from "./waiting.ts";

let redis: ScriptRedis;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
});

async function set(side: TriggerSide, ...triggers: readonly (readonly [string, number])[]) {
  const members = triggers.flatMap(([symbol, priceCents], index) => [
    "0",
    packTrigger(symbol, priceCents, `user${index}`),
  ]);
  await redis.send("ZADD", side === "buy" ? DESK.buyTriggers : DESK.sellTriggers, ...members);
}

const waiting = (side: TriggerSide, after?: string) =>
  redis.run(waitingTriggers, { partition: 1, side, ...(after === undefined ? {} : { after }) });

const sorted = (all: readonly Waiting[]) => all.toSorted((a, b) => (a.symbol < b.symbol ? -1 : 1));

test("of each symbol the trigger that is met first is returned: the highest buy, the lowest sell", async () => {
  // By number, not by text: 1000 is above 999. And `A` is not a prefix of `AB` here.
  const triggers = [
    ["A", 999],
    ["A", 1_000],
    ["AB", 5],
    ["AB", 7],
    ["ABC", 3],
    ["Z", 1],
  ] as const;
  await set("buy", ...triggers);
  await set("sell", ...triggers);
  expect(sorted((await waiting("buy")).waiting)).toEqual([
    { symbol: "A", priceCents: 1_000 },
    { symbol: "AB", priceCents: 7 },
    { symbol: "ABC", priceCents: 3 },
    { symbol: "Z", priceCents: 1 },
  ]);
  expect(sorted((await waiting("sell")).waiting)).toEqual([
    { symbol: "A", priceCents: 999 },
    { symbol: "AB", priceCents: 5 },
    { symbol: "ABC", priceCents: 3 },
    { symbol: "Z", priceCents: 1 },
  ]);
  expect((await waiting("buy")).more).toBe(false);
});

test("each side has its own triggers, and an empty side has none", async () => {
  await set("buy", ["A", 1]);
  expect(await waiting("sell")).toEqual({ waiting: [], more: false });
});

test("more symbols than one call returns come in further calls, each once", async () => {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ".split("");
  const symbols = letters.flatMap((first) => letters.map((second) => `${first}${second}`));
  for (const side of ["buy", "sell"] as const) {
    await redis.clear();
    await set(side, ...symbols.map((symbol) => [symbol, 5] as const));
    const found: string[] = [];
    for (let after: string | undefined, more = true; more;) {
      const reply = await waiting(side, after);
      found.push(...reply.waiting.map(({ symbol }) => symbol));
      after = found.at(-1);
      more = reply.more;
    }
    expect(found.toSorted()).toEqual(symbols);
  }
});

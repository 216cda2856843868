import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import {
  contractDesk,
  DESK,
  DESK_CALL,
  type ContractDesk,
} from "../../../tests/support/contracts.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { noteInAudit } from "./note.ts";

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

// The key contains characters that patterns and formats of Lua would interpret.
const PAID = {
  symbol: "ABC",
  priceCents: 250,
  quoteTimeMs: 1_800_000_000_000,
  cryptokey: "4ezh2VUVde+ZVUcMj%d%1/==",
  user: "alice",
};

test("a note is a transaction of its own, under the next number of its partition", async () => {
  const up = { kind: "system", what: "up" } as const;
  expect(await redis.run(noteInAudit, { ...DESK_CALL, note: up })).toBe(2);
  expect(await redis.run(noteInAudit, { ...DESK_CALL, note: up })).toBe(6);
  expect(await redis.send("GET", DESK.audited)).toBe("2");
  expect(await desk.events()).toMatchObject([
    { kind: "system", transaction: 2, what: "up" },
    { kind: "system", transaction: 6, what: "up" },
  ]);
});

test("a paid answer is noted under the user in whose name the source was asked, with its key", async () => {
  await redis.run(noteInAudit, { ...DESK_CALL, note: { kind: "paid", answer: PAID } });
  const [entry] = await desk.audit();
  expect(entry?.users).toEqual(["alice"]);
  expect(entry?.server).toBe("d1");
  expect(await desk.events()).toEqual([
    {
      kind: "quote",
      transaction: 2,
      user: "alice",
      symbol: "ABC",
      priceCents: 250,
      sourceTimeMs: 1_800_000_000_000,
      cryptokey: PAID.cryptokey,
    },
  ]);
});

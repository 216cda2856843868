import { expect, test } from "bun:test";
import { BUCKET } from "../../../tests/support/contracts.ts";
import { parseBucket, standingIn } from "./books.ts";

const OPEN = "open,CALL,8500,1084230,1000,61000,EUR/USD|a,x,100;,y,50;";
const SOLD = "sold,PUT,8500,1084230,1000,61000,EUR/USD,s0_close,1084231,5000|b,x,100,92;";

test("a contract is found by its name in a batch, and by the bucket alone if it has no name", () => {
  const standing = standingIn(BUCKET, [OPEN, SOLD]);
  expect([...standing.keys()]).toEqual(["a", "", "b"]);
  expect(standing.get("a") as object).toEqual({
    clientOrderId: `${BUCKET}.a`,
    account: "x",
    stakeCents: 100,
    state: "open",
    contract: "CALL",
    payoutBp: 8_500,
    terms: { openPriceMicros: 1_084_230, openedAtMs: 1_000, expiresAtMs: 61_000 },
  });
  expect(String(standing.get("")?.clientOrderId)).toBe(BUCKET);
});

test("a contract that was sold back has the close, the time, the price and the return", () => {
  const sold = standingIn(BUCKET, [SOLD]).get("b");
  expect(sold).toMatchObject({ state: "sold", contract: "PUT", stakeCents: 100 });
  expect(sold?.sale as object).toEqual({
    close: "s0_close",
    returnCents: 92,
    closePriceMicros: 1_084_231,
    closedAtMs: 5_000,
  });
});

test("a bucket is read from both forms of reply, and is empty if it does not exist", () => {
  const asObject = parseBucket(BUCKET, { "0#0": OPEN, "0#1": SOLD });
  expect(asObject).toHaveLength(3);
  expect(parseBucket(BUCKET, ["0#0", OPEN, "0#1", SOLD])).toEqual(asObject);
  expect(parseBucket(BUCKET, {})).toEqual([]);
});

test("a batch of which everything was sold has no contract left", () => {
  const [head = ""] = OPEN.split("|");
  expect(parseBucket(BUCKET, { "0#0": `${head}|` })).toEqual([]);
});

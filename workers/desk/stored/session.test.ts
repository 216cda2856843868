/** How the last command of a session is stored, and how two commands are distinguished. */
import { expect, test } from "bun:test";
import {
  digestOf,
  nameWithoutSender,
  packLastCommand,
  parseLastCommand,
  senderOfSession,
  sessionOfOther,
} from "./session.ts";

const BUY = { name: "BUY", symbol: "ABC", cents: 5_000 };

test("each part of a command changes its digest, and nothing else does", () => {
  const others = [
    { ...BUY, name: "SELL" },
    { ...BUY, symbol: "ABD" },
    { ...BUY, symbol: "AB" },
    { ...BUY, cents: 5_001 },
    { ...BUY, cents: 5_000 + 2 ** 32 },
    { ...BUY, more: { file: "log" } },
    { ...BUY, more: { refusal: "AMOUNT_INVALID" } as const },
    { name: "BUYABC", symbol: "", cents: 5_000 },
  ];
  const digests = [BUY, ...others].map(digestOf);
  expect(new Set(digests).size).toBe(digests.length);
  expect(digestOf({ ...BUY, more: { file: "" } })).toBe(digestOf(BUY));
});

test("a digest is short, and the same in every version: it is stored", () => {
  expect(digestOf(BUY)).toBe("0qhh");
});

test("a last command is stored with its digest, and read without one if it was stored before digests", () => {
  const last = { n: 12, transaction: 345, digest: digestOf(BUY), packed: "=sABC,n10,b5000," };
  const text = packLastCommand(last);
  expect(text).toBe("12 345 =sABC,n10,b5000, 0qhh");
  expect(parseLastCommand(text)).toEqual(last);
  expect(parseLastCommand("12 345 =sABC,n10,b5000,")).toEqual({ ...last, digest: undefined });
  expect(parseLastCommand("12 345 BALANCE_TOO_LOW")).toEqual({
    n: 12,
    transaction: 345,
    digest: undefined,
    packed: "BALANCE_TOO_LOW",
  });
});

test("the session of another sender includes the sender's name, and its old name is derived from it", () => {
  expect(["s", "/s", "boss/s"].map(senderOfSession)).toEqual([undefined, "", "boss"]);
  expect(sessionOfOther("boss", "s")).toBe("boss/s");
  expect(sessionOfOther("boss", "")).toBe("");
  expect(["s", "/s", "boss/s"].map(nameWithoutSender)).toEqual([undefined, "s", "s"]);
});

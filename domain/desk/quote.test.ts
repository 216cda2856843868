import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { DAY_TRADING } from "../../tests/support/data.ts";
import { centsOf, parseAnswer, parseTick } from "./quote.ts";

const KEY = "4ezh2VUVde+ZVUcMj+L7f7r9bKnjeNkjzPdaZx1m4Vf+zEF/t4pPTA==";

test("an answer to the question becomes a quote in millionths, at the source's time", () => {
  expect(parseAnswer(`383.82,QDU,kHMjwfSx2P,1583452412110,${KEY}`, "QDU", "kHMjwfSx2P")).toEqual({
    symbol: "QDU",
    priceMicros: 383_820_000,
    sourceTimeMs: 1_583_452_412_110,
  });
});

test.each([
  ["another symbol", `383.82,QDV,me,1583452412110,${KEY}`],
  ["another user", `383.82,QDU,you,1583452412110,${KEY}`],
  ["a price of zero", `0.00,QDU,me,1583452412110,${KEY}`],
  ["a negative price", `-1.50,QDU,me,1583452412110,${KEY}`],
  ["a price that is no number", `NaN,QDU,me,1583452412110,${KEY}`],
  ["a price in exponents", `1e3,QDU,me,1583452412110,${KEY}`],
  ["no price", `,QDU,me,1583452412110,${KEY}`],
  ["no time", `383.82,QDU,me,,${KEY}`],
  ["a time in fractions", `383.82,QDU,me,1583452412110.5,${KEY}`],
  ["no key", "383.82,QDU,me,1583452412110,"],
  ["half a line", "383.82,QDU,me,15834524"],
  ["a field too many", `383.82,QDU,me,1583452412110,${KEY},`],
  ["nothing", ""],
])("an answer with %s is no quote", (_fault, line) => {
  expect(parseAnswer(line, "QDU", "me")).toBeUndefined();
});

test("a tick becomes a quote only if it is complete", () => {
  expect(parseTick("EUR/USD,1.08423,1583452412110")).toEqual({
    symbol: "EUR/USD",
    priceMicros: 1_084_230,
    sourceTimeMs: 1_583_452_412_110,
  });
  for (const line of ["", "EUR/USD", "EUR/USD,1.08423", "EUR/USD,0,1583452412110", "a,b,c,d"]) {
    expect(parseTick(line)).toBeUndefined();
  }
});

test("only a price of whole cents is converted to cents: it is never rounded", () => {
  const quote = { symbol: "ABC", sourceTimeMs: 1 };
  expect(centsOf({ ...quote, priceMicros: 383_820_000 })).toBe(38_382);
  expect(centsOf({ ...quote, priceMicros: 383_820_001 })).toBeUndefined();
  expect(centsOf({ ...quote, priceMicros: 9_999 })).toBeUndefined();
});

const REAL_ANSWERS = join(DAY_TRADING, "quote-server-responses.txt");
const realAnswers = existsSync(REAL_ANSWERS)
  ? readFileSync(REAL_ANSWERS, "utf8").trimEnd().split("\n")
  : [];
if (realAnswers.length === 0) {
  console.log("not run: the real answers of a quote server are not on this machine");
}

test.skipIf(realAnswers.length === 0)("every real answer of a quote server can be parsed", () => {
  for (const line of realAnswers) {
    const [price = "", symbol = "", user = "", time] = line.split(",");
    expect(parseAnswer(line, symbol, user)).toEqual({
      symbol,
      priceMicros: Number(price.replace(".", "")) * 10_000,
      sourceTimeMs: Number(time),
    });
  }
});

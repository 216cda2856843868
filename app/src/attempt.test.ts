import { expect, test } from "bun:test";
import { problemOf, type ErrorCode } from "../../domain/error-codes.ts";
import type { Answer } from "./answer.ts";
import { dropAttempt, isUnclear, keepAttempt, keptAttempt, type Attempt } from "./attempt.ts";

const HOUR_MS = 60 * 60 * 1000;

const attempt: Attempt = {
  key: "key-1",
  person: "demo-provider",
  signal: {
    channel: "demo",
    symbol: "EUR/USD",
    contract: "CALL",
    stakeCents: 500,
    durationSeconds: 10,
  },
  pressedAt: 1_000,
};

function refused(code: ErrorCode): Answer<never> {
  return { kind: "problem", problem: problemOf(code) };
}

test("a key is kept while it is not known what became of the signal", () => {
  for (const answer of [
    { kind: "lost" } as const,
    refused("STORE_UNAVAILABLE"),
    refused("INTERNAL"),
  ]) {
    expect(isUnclear(answer, false)).toBe(true);
    expect(isUnclear(answer, true)).toBe(true);
  }
});

test("a refusal or an acceptance settles it, and the next press is a signal of its own", () => {
  expect(isUnclear({ kind: "ok", value: {} }, true)).toBe(false);
  for (const code of ["TRADING_HALTED", "GRANT_STAKE", "IDEMPOTENCY_CONFLICT"] as const) {
    expect(isUnclear(refused(code), false)).toBe(false);
    expect(isUnclear(refused(code), true)).toBe(false);
  }
});

test("a token that ran out between two tries says nothing about the first", () => {
  expect(isUnclear(refused("TOKEN_EXPIRED"), false)).toBe(false);
  expect(isUnclear(refused("TOKEN_EXPIRED"), true)).toBe(true);
});

test("an attempt outlives a reload, for its own sender and as long as the edge knows its key", () => {
  const storage = memoryStorage();
  keepAttempt(storage, attempt);
  expect(keptAttempt(storage, "demo-provider", 2_000)).toEqual(attempt);
  expect(keptAttempt(storage, "someone-else", 2_000)).toBeUndefined();
  expect(keptAttempt(storage, "demo-provider", 1_000 + 23 * HOUR_MS)).toBeUndefined();
  dropAttempt(storage);
  expect(keptAttempt(storage, "demo-provider", 2_000)).toBeUndefined();
});

function memoryStorage(): Storage {
  const items = new Map<string, string>();
  return {
    get length() {
      return items.size;
    },
    clear: () => {
      items.clear();
    },
    getItem: (key) => items.get(key) ?? null,
    key: () => null,
    removeItem: (key) => {
      items.delete(key);
    },
    setItem: (key, value) => {
      items.set(key, value);
    },
  };
}

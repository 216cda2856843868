import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { PartitionMap } from "../redis/keys.ts";
import { Confirmations } from "./confirmations.ts";
import { sha256Hex } from "./digest.ts";
import type { Edge } from "./edge.ts";
import { Formats } from "./formats.ts";
import { failure } from "../domain/result.ts";
import { openSession } from "./socket-session.ts";
import { openStore } from "./store.ts";
import type { Caller } from "./tokens.ts";

const NOW_MS = 1_800_000_000_000;
const CALLER: Caller = {
  person: "demo-provider" as never,
  permissions: new Set(["signals:write"]),
  expiresAtMs: NOW_MS + 1_000,
  token: "t",
};

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

/** A session without any store: what is tested here ends before a store is asked. */
function open(nowMs: number, caller?: Caller) {
  const home = openStore({ url: "http://127.0.0.1:1", token: "t" });
  const edge: Edge = {
    home,
    formats: new Formats(home, new Map(), 1),
    confirmations: new Confirmations(home),
    regions: new Map(),
    partitions: new PartitionMap(1),
    verifyToken: async () => await Promise.resolve(failure("TOKEN_INVALID")),
    sealKey: new Uint8Array(),
    recordsUrl: undefined,
    desk: undefined,
    clock: () => nowMs,
    sha256: sha256Hex,
    random: () => "0".repeat(32),
    stop: new AbortController().signal,
  };
  const sent: Record<string, unknown>[] = [];
  const closed: number[] = [];
  const work: Promise<unknown>[] = [];
  const session = openSession(edge, (task) => work.push(task), caller);
  session.open({
    send: (text) => sent.push(JSON.parse(text) as Record<string, unknown>),
    close: (code) => closed.push(code),
    unreadBytes: () => 0,
  });
  return { session, sent, closed, settled: async () => await Promise.all(work) };
}

test("a socket that shows no token within five seconds is closed", () => {
  const { sent, closed } = open(NOW_MS);
  jest.advanceTimersByTime(4_999);
  expect(closed).toEqual([]);
  jest.advanceTimersByTime(1);
  expect(closed).toEqual([1008]);
  expect(sent).toMatchObject([{ type: "problem", code: "TOKEN_MISSING" }]);
});

test("a socket that came with a token is not", () => {
  const { closed } = open(NOW_MS, CALLER);
  jest.advanceTimersByTime(60_000);
  expect(closed).toEqual([]);
});

test("when its token expires, a socket may send no more", async () => {
  const { session, sent, settled } = open(NOW_MS + 1_000, CALLER);
  const signal = { symbol: "EUR/USD", contract: "CALL", stakeCents: 5, durationSeconds: 30 };
  session.message(JSON.stringify({ channel: "demo", ...signal, ref: "late" }));
  await settled();
  expect(sent).toMatchObject([{ type: "problem", ref: "late", code: "TOKEN_EXPIRED" }]);
});

test("a message that is not text is refused, and the socket stays open", async () => {
  const { session, sent, closed, settled } = open(NOW_MS, CALLER);
  session.message(new ArrayBuffer(4));
  session.message("null");
  await settled();
  expect(sent.map((each) => each["code"])).toEqual(["BODY_TYPE_UNSUPPORTED", "BODY_INVALID"]);
  expect(closed).toEqual([]);
});

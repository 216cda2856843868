import { expect, test } from "bun:test";
import { asId } from "../../domain/ids.ts";
import { sha256Hex } from "../digest.ts";
import { success } from "../../domain/result.ts";
import { readTradingView } from "./tradingview.ts";

const NOW_MS = Date.UTC(2026, 0, 31, 12);
const HOOK = {
  id: asId<never>("tv"),
  channel: asId<never>("demo"),
  sender: asId<never>("demo-provider"),
  kind: "tradingview",
  secretSha256: await sha256Hex("right"),
} as const;

async function read(body: string, headers: Record<string, string> = {}, nowMs = NOW_MS) {
  const request = {
    secret: "right",
    headers: new Headers(headers),
    mediaType: "text/plain",
    bytes: new TextEncoder().encode(body),
  };
  const symbols = async () => await Promise.resolve(success(["EUR/USD", "R_100", "BTC/USD"]));
  return await readTradingView(HOOK, request, nowMs, symbols);
}

test("a symbol is matched to the channel's spelling of it, with or without an exchange", async () => {
  const spelled = { EURUSD: "EUR/USD", "FX:EURUSD": "EUR/USD", R_100: "R_100", DOGE: "DOGE" };
  for (const [from, to] of Object.entries(spelled)) {
    const delivery = await read(`symbol=${from} contract=PUT stake=1.5 duration=60`);
    expect(delivery).toMatchObject({
      value: {
        signal: {
          channel: "demo",
          symbol: to,
          contract: "PUT",
          stakeCents: 150,
          durationSeconds: 60,
        },
      },
    });
  }
});

const ALERT = "symbol=R_100,contract=CALL,stake=5,duration=30";
const TIME = "2026-01-31T11:59:30Z";

async function readKey(body: string, headers?: Record<string, string>): Promise<string> {
  const delivery = await read(body, headers);
  if (!delivery.ok) throw new Error(`refused: ${delivery.code}`);
  return delivery.value.idempotencyKey;
}

test("an idempotency key in the header identifies the delivery", async () => {
  expect(await readKey(`${ALERT} id=a time=${TIME}`, { "idempotency-key": "k" })).toBe(
    "hook:tv:key:k",
  );
});

test("another id, another time or another signal is another alert", async () => {
  const first = `${ALERT} id=a time=${TIME}`;
  const others = [
    `${ALERT} id=b time=${TIME}`,
    `${ALERT} time=${TIME}`,
    `${ALERT} id=a time=2026-01-31T11:59:31Z`,
    `${ALERT} id=a`,
    ALERT,
    ...[
      ["R_100", "EURUSD"],
      ["CALL", "PUT"],
      ["stake=5", "stake=6"],
      ["duration=30", "duration=31"],
    ].map(([from = "", to = ""]) => first.replace(from, to)),
    `action=close symbol=R_100 id=a time=${TIME}`,
  ];
  const keys = await Promise.all([first, ...others].map((each) => readKey(each)));
  expect(new Set(keys).size).toBe(1 + others.length);
});

test("the same alert is one identity in JSON, in text and in any spelling of its values", async () => {
  const facts = { symbol: "EURUSD", contract: "CALL", durationSeconds: 30, id: "a" };
  const spellings = [
    `symbol=FX:EURUSD contract=CALL stake=5 duration=30 id=a time=${TIME}`,
    `id=a, time=2026-01-31T11:59:30.000Z, duration=30, action=open, channel=demo, stakeCents=500, contract=CALL, symbol=EUR/USD`,
    JSON.stringify({ ...facts, stake: "5.00", time: TIME }),
    JSON.stringify({ ...facts, stakeCents: 500, time: "2026-01-31T11:59:30.0Z" }),
  ];
  const keys = await Promise.all(spellings.map((each) => readKey(each)));
  expect(new Set(keys).size).toBe(1);
});

test("an alert without a time is recognised for a minute, one with a time for as long as any key", async () => {
  for (const untimed of [ALERT, `${ALERT} id=a`]) {
    expect(await read(untimed)).toMatchObject({ value: { answerTtlMs: 60_000 } });
  }
  const timed = await read(`${ALERT} time=${TIME}`);
  expect(timed.ok && timed.value.answerTtlMs).toBeUndefined();
});

test("an identity is as short for the longest id as for none", async () => {
  const long = await readKey(`${ALERT} id=${"x".repeat(64)} time=${TIME}`);
  expect(long).toHaveLength((await readKey(ALERT)).length);
  expect(long.length).toBeLessThanOrEqual(255);
});

test("an alert is stale after a minute, and five seconds before its time", async () => {
  const body = "symbol=R_100 contract=CALL stake=5 duration=30 time=2026-01-31T12:00:00Z";
  expect(await read(body, {}, NOW_MS + 60_000)).toMatchObject({ ok: true });
  expect(await read(body, {}, NOW_MS + 60_001)).toMatchObject({ code: "WEBHOOK_STALE" });
  expect(await read(body, {}, NOW_MS - 5_001)).toMatchObject({ code: "WEBHOOK_STALE" });
});

test("text that is no list of pairs, names one twice or has no amount is refused", async () => {
  const rest = "symbol=R_100 contract=CALL duration=30";
  expect(await read("buy")).toMatchObject({ code: "BODY_MALFORMED" });
  expect(await read(`${rest} stake=5 stake=6`)).toMatchObject({ code: "BODY_MALFORMED" });
  for (const stake of ["", "stake=0", "stake=-5", "stake=5 stakeCents=500", "stake=1e3"]) {
    expect(await read(`${rest} ${stake}`)).toMatchObject({ code: "BODY_INVALID" });
  }
});

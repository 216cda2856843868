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

test("a delivery is known by its header, else by id and time, else for a minute by its body", async () => {
  const body = "symbol=R_100,contract=CALL,stake=5,duration=30";
  const alert = `${body} id=a time=2026-01-31T11:59:30Z`;
  expect(await read(alert, { "idempotency-key": "k" })).toMatchObject({
    value: { idempotencyKey: "hook:tv:key:k" },
  });
  expect(await read(alert)).toMatchObject({
    value: { idempotencyKey: "hook:tv:alert:a@2026-01-31T11:59:30Z" },
  });
  const first = await read(body);
  expect(first).toMatchObject({ value: { answerTtlMs: 60_000 } });
  expect(await read(`${body} id=a`)).toEqual(first);
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

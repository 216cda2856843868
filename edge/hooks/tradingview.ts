/**
 * TradingView signs nothing, so the secret is the last part of the URL. It sends JSON or text,
 * resends without a delivery id, and writes a pair without its slash. Two deliveries are the same
 * alert when they have the same id, the same time and the same signal.
 */
import type { Fault } from "../../domain/error-codes.ts";
import type { HomeKeys } from "../../redis/keys.ts";
import type { Hook } from "../../domain/copier/hook.ts";
import { canonicalBody, type Signal } from "../../domain/copier/signal.ts";
import { parseCents } from "../../domain/money.ts";
import type { InferOutput } from "valibot";
import { sha256Hex } from "../digest.ts";
import { decodeText, parseJson } from "../../http/body.ts";
import type { Store } from "../store.ts";
import { failure, success, type Result } from "../../domain/result.ts";
import { checkSignal, toSignal, TradingViewBody } from "../schemas.ts";
import { channelFault, type Delivery, type HookRequest } from "./delivery.ts";

type TradingViewHook = Extract<Hook, { kind: "tradingview" }>;
type OpenBody = InferOutput<typeof TradingViewBody.open>;
type Body = OpenBody | InferOutput<typeof TradingViewBody.close>;

const MAX_AGE_MS = 60_000;
const MAX_AHEAD_MS = 5_000;
/**
 * How long a repeated alert without a time is recognised. TradingView resends for about twenty
 * seconds. Later, the same id and signal mean that the alert fired again.
 */
const UNTIMED_TTL_MS = 60_000;

export async function readTradingView(
  hook: TradingViewHook,
  request: HookRequest,
  nowMs: number,
  channelSymbols: () => Promise<Result<readonly string[]>>,
): Promise<Result<Delivery>> {
  if (!equalInConstantTime(await sha256Hex(request.secret), hook.secretSha256)) {
    return failure("HOOK_UNKNOWN");
  }
  const fields = readFields(request);
  const body = fields.ok ? checkSignal(TradingViewBody, fields.value) : fields;
  if (!body.ok) return body;
  const { time, channel } = body.value;
  const wrongChannel = channelFault(hook, channel);
  if (wrongChannel) return wrongChannel;
  if (time !== undefined && !isFresh(time, nowMs)) return failure("WEBHOOK_STALE");
  const read = await signalIn(hook, body.value, channelSymbols);
  if (!read.ok) return read;
  const signal = read.value;
  const chosen = request.headers.get("idempotency-key");
  if (chosen !== null) {
    return success({ signal, idempotencyKey: `hook:${hook.id}:key:${chosen}` });
  }
  return success({
    signal,
    idempotencyKey: `hook:${hook.id}:alert:${await alertDigest(body.value, signal)}`,
    ...(time === undefined ? { answerTtlMs: UNTIMED_TTL_MS } : {}),
  });
}

/**
 * The key that identifies an alert. One alert on a watch list fires for several symbols in the same
 * second with the same id, so the signal is part of the key. Text and JSON with the same meaning
 * have the same digest. It has the same length for any id.
 */
async function alertDigest({ id, time }: Body, signal: Signal): Promise<string> {
  const timeMs = time === undefined ? null : Date.parse(time);
  return await sha256Hex(JSON.stringify([id ?? null, timeMs, canonicalBody(signal)]));
}

async function signalIn(
  { channel }: TradingViewHook,
  body: Body,
  channelSymbols: () => Promise<Result<readonly string[]>>,
): Promise<Result<Signal>> {
  if (body.action === "close") {
    if (body.symbol === undefined) return success(toSignal(channel, body));
    const symbol = await findSymbol(body.symbol, channelSymbols);
    return symbol.ok ? success(toSignal(channel, { ...body, symbol: symbol.value })) : symbol;
  }
  const stakeCents = parseStake(body);
  if (stakeCents === undefined) return failure("BODY_INVALID", [STAKE_FAULT]);
  const symbol = await findSymbol(body.symbol, channelSymbols);
  if (!symbol.ok) return symbol;
  return success(toSignal(channel, { ...body, symbol: symbol.value, stakeCents }));
}

const STAKE_FAULT: Fault = {
  path: "stake",
  message: "either stake or stakeCents is required, above 0 and within bounds",
};

function readFields({ mediaType, bytes }: HookRequest): Result<unknown> {
  if (!["application/json", "text/plain", ""].includes(mediaType)) {
    return failure("BODY_TYPE_UNSUPPORTED");
  }
  const text = decodeText(bytes);
  if (!text.ok) return text;
  const isJson = mediaType === "application/json" || text.value.trimStart().startsWith("{");
  return isJson ? parseJson(text.value) : parsePairs(text.value);
}

/** `symbol=EUR/USD contract=CALL stake=5.00 duration=30`, separated by blanks or commas. */
function parsePairs(text: string): Result<unknown> {
  const fields = new Map<string, unknown>();
  for (const pair of text.split(/[\s,]+/).filter(Boolean)) {
    const at = pair.indexOf("=");
    const name = pair.slice(0, at);
    const value = pair.slice(at + 1);
    if (at < 1 || fields.has(name)) return failure("BODY_MALFORMED");
    if (name === "duration") fields.set("durationSeconds", parseWholeNumber(value));
    else fields.set(name, name === "stakeCents" ? parseWholeNumber(value) : value);
  }
  return success(Object.fromEntries(fields));
}

function parseWholeNumber(text: string): number {
  return /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
}

function parseStake({ stake, stakeCents }: OpenBody): number | undefined {
  if (stake === undefined) return stakeCents;
  return stakeCents === undefined ? parseCents(stake) : undefined;
}

function isFresh(time: string, nowMs: number): boolean {
  const ageMs = nowMs - Date.parse(time);
  return ageMs <= MAX_AGE_MS && ageMs >= -MAX_AHEAD_MS;
}

/** `FX:EURUSD` → the channel's `EUR/USD`. The acceptance refuses a symbol that matches none. */
async function findSymbol(
  spelled: string,
  channelSymbols: () => Promise<Result<readonly string[]>>,
): Promise<Result<string>> {
  const ticker = spelled.slice(spelled.indexOf(":") + 1);
  if (ticker.includes("/")) return success(ticker);
  const symbols = await channelSymbols();
  if (!symbols.ok) return symbols;
  const known = symbols.value.includes(ticker)
    ? ticker
    : symbols.value.find((each) => each.replace("/", "") === ticker);
  return success(known ?? ticker);
}

/** The symbols of a channel in its home partition; none if there is no such channel. */
export async function readSymbols(
  store: Store,
  home: HomeKeys,
  channel: TradingViewHook["channel"],
): Promise<Result<readonly string[]>> {
  const read = await store.readHashes([{ key: home.channel(channel), fields: ["settings"] }]);
  if (!read.ok) return read;
  const [settings] = read.value[0] as [string | null];
  return success(
    settings === null ? [] : (JSON.parse(settings) as { symbols: readonly string[] }).symbols,
  );
}

/** Both are hashes of the same length, so the comparison's time shows nothing about the length. */
function equalInConstantTime(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let index = 0; index < a.length; index += 1) {
    difference |= a.charCodeAt(index) ^ b.charCodeAt(index);
  }
  return difference === 0;
}

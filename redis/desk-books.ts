/**
 * The desk's books of binary contracts: how a contract stands on them and is
 * found again by its client order id.
 */
import type { SettlementKind } from "../domain/contract.ts";
import type { AccountId, ClientOrderId } from "../domain/ids.ts";
import type { ContractType } from "../domain/signal.ts";
import { DeskKeys } from "./keys.ts";
import { asInteger, asList, asText, LUA_NOW, type Script } from "./script.ts";

/** How long a contract is kept on the books and its settlement can be followed. */
export const BOOKS_KEPT_MS = 7 * 24 * 60 * 60 * 1000;

/** One hash of contracts per prefix of the client order ids, so that a group opens and is asked for in one call. */
export function bucketOf(id: ClientOrderId): string {
  const dot = id.lastIndexOf(".");
  return dot < 0 ? id : id.slice(0, dot);
}

/** What of a client order id tells it apart within its bucket. */
export function nameOf(id: ClientOrderId, bucket: string): string {
  return id.slice(bucket.length + 1);
}

function idOf(name: string, bucket: string): ClientOrderId {
  return (name === "" ? bucket : `${bucket}.${name}`) as ClientOrderId;
}

/** What all contracts have in common that were opened in one call. */
export interface OpenedTerms {
  readonly openPriceMicros: number;
  readonly openedAtMs: number;
  readonly expiresAtMs: number;
}

/*
 * The hash of a bucket has two kinds of fields. Each contract's name leads to
 * the number of the call that opened it, and `#<number>` holds all that this
 * call opened: `state,contract,payoutBp,openPrice,openedAt,expiresAt|` and
 * then `name,account,stake;` for each. What is the same for a whole shard is
 * thus written once, when it opens and again when it settles.
 */

/** A contract as it stands on the books. */
export interface Contract {
  readonly clientOrderId: ClientOrderId;
  readonly account: AccountId;
  readonly stakeCents: number;
  readonly state: "open" | SettlementKind;
  readonly contract: ContractType;
  readonly payoutBp: number;
  readonly terms: OpenedTerms;
}

/** Reads what one call opened, by name. */
function parseBatch(text: string, bucket: string): Map<string, Contract> {
  const [head = "", orders = ""] = text.split("|");
  const [state, contract, payoutBp, openPriceMicros, openedAtMs, expiresAtMs] = head.split(",");
  const terms = {
    openPriceMicros: Number(openPriceMicros),
    openedAtMs: Number(openedAtMs),
    expiresAtMs: Number(expiresAtMs),
  };
  const contracts = new Map<string, Contract>();
  for (const order of orders.split(";").slice(0, -1)) {
    const [name = "", account = "", stakeCents] = order.split(",");
    contracts.set(name, {
      clientOrderId: idOf(name, bucket),
      account: account as AccountId,
      stakeCents: Number(stakeCents),
      state: state as Contract["state"],
      contract: contract as ContractType,
      payoutBp: Number(payoutBp),
      terms,
    });
  }
  return contracts;
}

/** Reads a bucket from its `HGETALL`, as an object or as field, value, field, value …. */
export function parseBucket(bucket: string, raw: unknown): Contract[] {
  const flat = Array.isArray(raw)
    ? raw.map(String)
    : Object.entries(raw as Record<string, string>).flat();
  const contracts: Contract[] = [];
  for (let index = 0; index + 1 < flat.length; index += 2) {
    if (!flat[index]?.startsWith("#")) continue;
    contracts.push(...parseBatch(flat[index + 1] ?? "", bucket).values());
  }
  return contracts;
}

/** Gives the batches that numbers lead to, as number, text, number, text …; what is no number leads nowhere. */
export const BATCHES_LUA = `
local function batches_of(key, numbers)
  local batches, seen = {}, {}
  for _, number in ipairs(numbers) do
    if number and not seen[number] then
      seen[number] = true
      local text = redis.call('HGET', key, '#' .. number)
      if text then batches[#batches + 1] = number batches[#batches + 1] = text end
    end
  end
  return batches
end
`;

/** Finds each name's contract by the number it leads to. */
export function standingIn(
  bucket: string,
  batches: readonly unknown[],
): (number: unknown, name: string) => Contract | undefined {
  const byNumber = new Map<string, Map<string, Contract>>();
  for (let index = 0; index + 1 < batches.length; index += 2) {
    byNumber.set(asText(batches[index]), parseBatch(asText(batches[index + 1]), bucket));
  }
  return (number, name) =>
    typeof number === "string" ? byNumber.get(number)?.get(name) : undefined;
}

export interface FindArgs {
  readonly partition: number;
  readonly bucket: string;
  readonly names: readonly string[];
}

const findLua = `
${LUA_NOW}
${BATCHES_LUA}
local numbers = redis.call('HMGET', KEYS[1], unpack(ARGV))
return {now_ms(), numbers, batches_of(KEYS[1], numbers)}
`;

/** Asks the books, with the time at which they answer: after an order's valid-until, absent is for good. */
export const findContracts: Script<
  FindArgs,
  { readonly nowMs: number; readonly found: (Contract | undefined)[] }
> = {
  name: "find-contracts",
  lua: findLua,
  keys: ({ partition, bucket }) => [new DeskKeys(partition).contracts(bucket)],
  args: ({ names }) => [...names],
  reply(raw, { names, bucket }) {
    const [nowMs, numbers, batches] = asList(raw);
    const find = standingIn(bucket, asList(batches));
    const found = asList(numbers).map((number, index) => find(number, names[index] ?? ""));
    return { nowMs: asInteger(nowMs), found };
  },
};

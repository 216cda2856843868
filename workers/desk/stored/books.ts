/**
 * The desk's books of binary contracts: how a contract is stored, and how it is found by
 * its client order id.
 */
import type { SettlementKind, ContractType } from "../../../domain/products/binary.ts";
import type { OpenedTerms } from "../../venues/desk/api.ts";
import type { AccountId, ClientOrderId, SignalId } from "../../../domain/ids.ts";
import { DeskKeys } from "./keys.ts";
import { asInteger, asList, asText, defineScript, LUA_NOW } from "../../../redis/script.ts";

/** From `docs/DESK.md`: the highest age of a quote at which something is bought or sold. */
export const QUOTE_VALID_MS = 1_000;

/** How long a contract remains on the books, and its settlement can be followed. */
export const BOOKS_KEPT_MS = 7 * 24 * 60 * 60 * 1000;

function joinId(name: string, bucket: string): ClientOrderId {
  return (name === "" ? bucket : `${bucket}.${name}`) as ClientOrderId;
}

/*
 * The hash of a bucket has one field for each call that opened something:
 * `<shard>#<number>` → `state,contract,payoutBp,openPrice,openedAt,expiresAt,symbol|` and
 * then `name,account,stake;` for each contract. What is sold back is moved to a field of
 * its own, with `,close,price,soldAt` after the symbol and the return after each stake.
 *
 * So the values that a whole shard shares are written once, and one look shows that a new
 * shard has no orders yet. The sender says which shard an order belongs to, always the
 * same one, and the order is searched only there.
 */

/** A contract as it is on the books. */
export interface Contract {
  readonly clientOrderId: ClientOrderId;
  readonly account: AccountId;
  readonly stakeCents: number;
  readonly state: "open" | SettlementKind;
  readonly contract: ContractType;
  readonly payoutBp: number;
  readonly terms: OpenedTerms;
  /** Only for a contract that was sold back. */
  readonly sale?: Sale;
}

export interface Sale {
  /** The close that sold it. */
  readonly close: SignalId;
  readonly returnCents: number;
  readonly closePriceMicros: number;
  readonly closedAtMs: number;
}

/** Reads what one call opened, by name. */
function parseBatch(text: string, bucket: string): Map<string, Contract> {
  const [head = "", orders = ""] = text.split("|");
  const [state, contract, payoutBp, openPriceMicros, openedAtMs, expiresAtMs, , ...sold] =
    head.split(",");
  const [close, closePriceMicros, closedAtMs] = sold;
  const terms = {
    openPriceMicros: Number(openPriceMicros),
    openedAtMs: Number(openedAtMs),
    expiresAtMs: Number(expiresAtMs),
  };
  const contracts = new Map<string, Contract>();
  for (const order of orders.split(";").slice(0, -1)) {
    const [name = "", account = "", stakeCents, returnCents] = order.split(",");
    contracts.set(name, {
      clientOrderId: joinId(name, bucket),
      account: account as AccountId,
      stakeCents: Number(stakeCents),
      state: state as Contract["state"],
      contract: contract as ContractType,
      payoutBp: Number(payoutBp),
      terms,
      ...(close === undefined
        ? {}
        : {
            sale: {
              close: close as SignalId,
              returnCents: Number(returnCents),
              closePriceMicros: Number(closePriceMicros),
              closedAtMs: Number(closedAtMs),
            },
          }),
    });
  }
  return contracts;
}

/** The rows of some accounts, among the rows after a head. */
export function rowsOf(rows: string, isWanted: (account: string) => boolean): string {
  return rows
    .split(";")
    .slice(0, -1)
    .filter((row) => isWanted(row.split(",")[1] ?? ""))
    .map((row) => `${row};`)
    .join("");
}

/** Reads a bucket from its `HGETALL`, as an object or as field, value, field, value …. */
export function parseBucket(bucket: string, raw: unknown): Contract[] {
  const batches = Array.isArray(raw)
    ? raw.map(String).filter((_, index) => index % 2 === 1)
    : Object.values(raw as Record<string, string>);
  return batches.flatMap((text) => [...parseBatch(text, bucket).values()]);
}

/** Returns what the calls for one shard of a bucket opened, one text for each, from number 0. */
export const BATCHES_LUA = `
local function batches_of(key, shard)
  local batches = {}
  while true do
    local text = redis.call('HGET', key, shard .. '#' .. #batches)
    if not text then return batches end
    batches[#batches + 1] = text
  end
end
`;

/** Finds each name's contract among those that a shard's calls opened. */
export function standingIn(
  bucket: string,
  batches: readonly unknown[],
): ReadonlyMap<string, Contract> {
  return new Map(batches.flatMap((text) => [...parseBatch(asText(text), bucket)]));
}

export interface FindArgs {
  readonly partition: number;
  readonly bucket: string;
  readonly shard: number;
  readonly names: readonly string[];
}

/** Asks the books. The answer has its time: after an order's valid-until, absent is final. */
export const findContracts = defineScript<
  FindArgs,
  { readonly nowMs: number; readonly found: (Contract | undefined)[] }
>({
  name: "find-contracts",
  lua: `
${LUA_NOW}
${BATCHES_LUA}
return {now_ms(), batches_of(contracts, shard)}
`,
  keys: { contracts: ({ partition, bucket }) => new DeskKeys(partition).contracts(bucket) },
  args: { shard: ({ shard }) => shard },
  reply(raw, { names, bucket }) {
    const [nowMs, batches] = asList(raw);
    const standing = standingIn(bucket, asList(batches));
    return { nowMs: asInteger(nowMs), found: names.map((name) => standing.get(name)) };
  },
});

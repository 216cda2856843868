/** The balances and shares of users, read straight from the books of a partition. */
import { deskKeys } from "./keys.ts";
import { asList, asText, defineScript } from "../../../redis/script.ts";

/** The balances and shares of a user. The maps omit zeros. */
export interface DeskBooks {
  readonly balanceCents: number;
  readonly reservedCents: number;
  readonly shares: Readonly<Record<string, number>>;
  readonly reservedShares: Readonly<Record<string, number>>;
}

export interface AccountsArgs {
  readonly partition: number;
  readonly users: readonly string[];
}

const lua = `
local replies = {}
local found = redis.call('HMGET', balances, unpack(ARGV, rest))
for user in rows() do
  local balance, flat = found[#replies + 1], {}
  for symbol in string.gmatch(redis.call('HGET', symbols, user) or '', '%u+') do
    flat[#flat + 1] = symbol
    flat[#flat + 1] = redis.call('HGET', positions, user .. ' ' .. symbol) or '0'
  end
  replies[#replies + 1] = {balance or '', flat}
end
return replies
`;

/** A few hundred users in one call, in their order; undefined for an unknown user. */
export const readAccounts = defineScript<AccountsArgs, readonly (DeskBooks | undefined)[]>({
  name: "read-accounts",
  lua,
  keys: deskKeys("balances", "positions", "symbols"),
  rest: ({ users }) => users,
  columns: ["user"],
  reply: (raw) =>
    asList(raw).map((each) => {
      const [balance, flat] = asList(each);
      return asText(balance) === ""
        ? undefined
        : parseBooks(Number(balance), asList(flat).map(asText));
    }),
});

function parseBooks(balanceCents: number, flat: readonly string[]): DeskBooks {
  const shares: [symbol: string, shares: number][] = [];
  const reservedShares: [symbol: string, shares: number][] = [];
  let reservedCents = 0;
  for (let index = 0; index + 1 < flat.length; index += 2) {
    const [free = 0, reserved = 0, buyCents = 0] = (flat[index + 1] ?? "").split(",").map(Number);
    if (free > 0) shares.push([flat[index] ?? "", free]);
    if (reserved > 0) reservedShares.push([flat[index] ?? "", reserved]);
    reservedCents += buyCents;
  }
  return {
    balanceCents,
    reservedCents,
    shares: Object.fromEntries(shares),
    reservedShares: Object.fromEntries(reservedShares),
  };
}

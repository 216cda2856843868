/**
 * Funds the demo accounts and the day trader at the desk. Deposits have ids, and the trader's ADD a
 * number, so each is booked once, however often it is sent.
 */
import type { AccountId } from "../../../domain/ids.ts";

export interface Desk {
  readonly url: string;
  readonly token: string;
}

const AMOUNT_CENTS = 1_000_000;
const TRADER_AMOUNT = "10000.00";
const DEPOSITS_A_CALL = 500;
const LIMIT_MS = 5_000;
const PAUSE_MS = 250;

/** Tries until the desk has answered for all, because it may still be starting. */
export async function fundAccounts(desk: Desk, accounts: readonly AccountId[]): Promise<void> {
  for (let start = 0; start < accounts.length; start += DEPOSITS_A_CALL) {
    const deposits = accounts.slice(start, start + DEPOSITS_A_CALL).map((account) => ({
      id: `${account}-first`,
      account,
      amountCents: AMOUNT_CENTS,
    }));
    while (!(await deposit(desk, deposits))) {
      await Bun.sleep(PAUSE_MS);
    }
  }
}

/** Throws if the desk refuses for good: waiting does not help then. */
async function deposit({ url, token }: Desk, deposits: readonly object[]): Promise<boolean> {
  let status: number;
  try {
    const answer = await fetch(new URL("/v1/deposits", url), {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ deposits }),
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    await answer.body?.cancel();
    status = answer.status;
  } catch {
    // It may still be starting: it is asked again.
    return false;
  }
  if (status >= 400 && status < 500) throw new Error(`the desk refused the deposits: ${status}`);
  return status < 300;
}

/** Opens the day trader's account by a real ADD, unless there is one. Tries until the desk has answered. */
export async function fundTrader(desk: Desk, user: string): Promise<void> {
  for (;;) {
    const known = await command(desk, `[1] DISPLAY_SUMMARY,${user}`);
    if (known?.includes('"ok":true')) return;
    const added = known && (await command(desk, `[2] ADD,${user},${TRADER_AMOUNT}`));
    if (added?.includes('"ok":true')) return;
    await Bun.sleep(PAUSE_MS);
  }
}

async function command({ url, token }: Desk, line: string): Promise<string | undefined> {
  try {
    const answer = await fetch(new URL("/v1/desk/commands", url), {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "command-session": "seed" },
      body: line,
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    return answer.ok ? await answer.text() : undefined;
  } catch {
    // As above.
    return undefined;
  }
}

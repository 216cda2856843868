/** Funds the demo accounts at the desk. Deposits have ids, so each is booked once however often it is sent. */
import type { AccountId } from "../../domain/ids.ts";

export interface Desk {
  readonly url: string;
  readonly token: string;
}

const AMOUNT_CENTS = 1_000_000;
const DEPOSITS_A_CALL = 500;
const LIMIT_MS = 5_000;
const PAUSE_MS = 250;

/** Tries until the desk has answered for all, as it may be starting too. */
export async function fundAccounts(
  desk: Desk,
  accounts: readonly AccountId[],
  stop: AbortSignal,
): Promise<void> {
  for (let start = 0; start < accounts.length; start += DEPOSITS_A_CALL) {
    const deposits = accounts.slice(start, start + DEPOSITS_A_CALL).map((account) => ({
      id: `${account}-first`,
      account,
      amountCents: AMOUNT_CENTS,
    }));
    while (!(await deposit(desk, deposits))) {
      stop.throwIfAborted();
      await Bun.sleep(PAUSE_MS);
    }
  }
}

/** Throws where the desk refuses for good: that does not pass by waiting. */
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
    return false;
  }
  if (status >= 400 && status < 500) throw new Error(`the desk refused the deposits: ${status}`);
  return status < 300;
}

/**
 * Calls to the desk's HTTP interface for contracts. After an answer other than 200 the order may
 * still have been booked, so it counts as no answer: `unanswered`.
 */
import type { AccountId, SignalId } from "../../../domain/ids.ts";
import type {
  CloseBatchAnswer,
  CloseBatchBody,
  ClosedAnswer,
  ContractsAnswer,
  LookUpAnswer,
  OpenAnswer,
  OrderBatchBody,
  SettlementsAnswer,
  ValuesAnswer,
} from "./api.ts";

/** The limit of a bulk open or look-up, which the desk does in milliseconds. */
export const CALL_TIMEOUT_MS = 2_000;
/** Longer than the desk delays an empty answer. */
const SETTLEMENTS_TIMEOUT_MS = 10_000;

export type Reply<T> =
  { readonly kind: "answered"; readonly answers: T } | { readonly kind: "unanswered" };

export interface DeskClient {
  open(batch: OrderBatchBody): Promise<Reply<OpenAnswer>>;
  lookUp(batch: OrderBatchBody): Promise<Reply<LookUpAnswer>>;
  close(batch: CloseBatchBody): Promise<Reply<CloseBatchAnswer>>;
  findClosed(batch: CloseBatchBody): Promise<Reply<ClosedAnswer>>;
  balances(accounts: readonly AccountId[]): Promise<Reply<ValuesAnswer>>;
  payouts(symbols: readonly string[]): Promise<Reply<ValuesAnswer>>;
  /** A page of a signal's contracts; the first page is `"0"`. */
  contracts(signal: SignalId, after: string): Promise<Reply<ContractsAnswer>>;
  /**
   * Settlements after a cursor; `""` is the beginning. The desk waits some seconds for the first.
   */
  settlements(after: string, stop: AbortSignal): Promise<Reply<SettlementsAnswer>>;
}

export function deskClient(url: string, token: string): DeskClient {
  async function call<T>(
    path: string,
    body?: object,
    giveUp = AbortSignal.timeout(CALL_TIMEOUT_MS),
  ): Promise<Reply<T>> {
    try {
      const response = await fetch(`${url}${path}`, {
        method: body ? "POST" : "GET",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        ...(body ? { body: JSON.stringify(body) } : {}),
        signal: giveUp,
      });
      if (response.status !== 200) {
        await response.body?.cancel();
        return { kind: "unanswered" };
      }
      return { kind: "answered", answers: (await response.json()) as T };
    } catch {
      // A call that failed or timed out may have been booked; its error does not say.
      return { kind: "unanswered" };
    }
  }

  return {
    open: (batch) => call("/v1/contracts", batch),
    lookUp: (batch) => call("/v1/contracts/lookup", batch),
    close: (batch) => call("/v1/contracts/close", batch),
    findClosed: (batch) => call("/v1/contracts/closed", batch),
    balances: (accounts) => call("/v1/balances", { accounts }),
    payouts: (symbols) => call("/v1/payouts", { symbols }),
    contracts: (signal, after) => call(`/v1/contracts?bucket=${signal}&after=${after}`),
    settlements: (after, stop) =>
      call(
        `/v1/settlements?after=${encodeURIComponent(after)}`,
        undefined,
        AbortSignal.any([stop, AbortSignal.timeout(SETTLEMENTS_TIMEOUT_MS)]),
      ),
  };
}

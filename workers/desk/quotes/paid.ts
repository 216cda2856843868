/** Answers that were paid for, as the desk's audit records them. */
import { getLogger } from "@logtape/logtape";
import type { AccountId } from "../../../domain/ids.ts";
import { centsOf } from "../../../domain/desk/quote.ts";
import type { PaidAnswer } from "../stored/audit.ts";
import { noteInAudit } from "../stored/note.ts";
import type { PartitionMap } from "../../../redis/keys.ts";
import { nameOf } from "../../../http/place.ts";
import type { Metrics } from "../../runtime/metrics.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import type { QuotedAnswer } from "./asked-quotes.ts";

export function paidAnswer({ quote, cryptokey, user }: QuotedAnswer): PaidAnswer {
  return {
    symbol: quote.symbol,
    priceCents: centsOf(quote) ?? 0,
    quoteTimeMs: quote.sourceTimeMs,
    cryptokey,
    user,
  };
}

export function paidQuotes(metrics: Metrics) {
  return metrics.counter(
    "fanfare_paid_quotes_total",
    "Answers of the asked source that it bills, of use or not.",
  );
}

/**
 * Audits an answer that belongs to no command, in a transaction of its own. The caller
 * does not wait for it.
 */
export function auditPaid(
  redis: Redis,
  { partitions, server }: { readonly partitions: PartitionMap; readonly server: string },
  answer: QuotedAnswer,
): void {
  run(redis, noteInAudit, {
    partition: partitions.ofAccount(answer.user as AccountId),
    partitions: partitions.count,
    server,
    note: { kind: "paid", answer: paidAnswer(answer) },
  }).catch((error: unknown) => {
    getLogger(["fanfare", "quotes"]).error("a paid answer is missing in the audit: {error}", {
      error: nameOf(error),
    });
  });
}

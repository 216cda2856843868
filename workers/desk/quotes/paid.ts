/** Answers that were paid for, as the desk's audit knows them. */
import { getLogger } from "@logtape/logtape";
import type { AccountId } from "../../../domain/ids.ts";
import { centsOf } from "../../../domain/desk/quote.ts";
import type { PaidAnswer } from "../stored/audit.ts";
import { noteInAudit } from "../stored/note.ts";
import { PartitionMap } from "../../../redis/keys.ts";
import type { WorkerEnv } from "../../runtime/env.ts";
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

/** Audits an answer that is no command's, in a transaction of its own. Nobody waits for it. */
export function auditPaid(
  redis: Redis,
  env: Pick<WorkerEnv, "FANFARE_PARTITIONS" | "FANFARE_CONSUMER">,
  answer: QuotedAnswer,
): void {
  const partitions = new PartitionMap(env.FANFARE_PARTITIONS);
  run(redis, noteInAudit, {
    partition: partitions.ofAccount(answer.user as AccountId),
    partitions: partitions.count,
    server: env.FANFARE_CONSUMER,
    note: { kind: "paid", answer: paidAnswer(answer) },
  }).catch(() => {
    getLogger(["fanfare", "quotes"]).error("a paid answer is missing in the audit");
  });
}

/** Settlements in the order in which they happened, for clients that follow them with a cursor. */
import * as v from "valibot";
import { reply } from "../../../http/operation.ts";
import type { SettledContract } from "../stored/settle.ts";
import type { PartitionMap } from "../../../redis/keys.ts";
import { DeskKeys } from "../stored/keys.ts";
import { SettlementsAnswerSchema, type SettlementsAnswer } from "../../venues/desk/api.ts";
import type { Redis } from "../../runtime/redis.ts";
import type { Desk, DeskService } from "./service.ts";

/**
 * Entries of each partition in one answer. An entry may contain as many contracts as were
 * opened together.
 */
const ENTRIES = 20;

/** How long an empty answer is delayed. */
const WAIT_MS = 3_000;
const PAUSE_MS = 100;

/**
 * A cursor is the last entry id of each partition, joined by commas. Partitions that were
 * added since it was made have none in it.
 */
const CURSOR = /^\d+-\d+(?:,\d+-\d+)*$/;

export function serveSettlements(service: DeskService, { redis, partitions, stop }: Desk): void {
  service.serve({
    method: "GET",
    path: "/v1/settlements",
    operationId: "followSettlements",
    summary: "The settlements after a cursor, oldest first",
    description: "Where there are none, the answer comes after some seconds.",
    permission: "desk:admin",
    query: v.object({
      after: v.optional(
        v.pipe(
          v.string(),
          v.check((text) => isCursor(text, partitions), "must be a `next` of this desk, or empty"),
        ),
        "",
      ),
    }),
    answers: {
      200: {
        description: "What comes next, and the cursor after it.",
        body: SettlementsAnswerSchema,
      },
    },
    problems: [],
    async handle({ query: { after } }) {
      const giveUpAt = performance.now() + WAIT_MS;
      for (;;) {
        const found = await settlementsAfter(redis, partitions, after);
        const over = stop.aborted || performance.now() > giveUpAt;
        if (found.settlements.length > 0 || over) return reply(found);
        await Bun.sleep(PAUSE_MS);
      }
    },
  });
}

function isCursor(text: string, partitions: PartitionMap): boolean {
  return text === "" || (CURSOR.test(text) && text.split(",").length <= partitions.count);
}

async function settlementsAfter(
  redis: Redis,
  partitions: PartitionMap,
  after: string,
): Promise<SettlementsAnswer> {
  const cursor = after === "" ? partitions.all().map(() => "0-0") : after.split(",");
  const parts = await Promise.all(
    partitions.all().map(async (partition) => {
      const from = `(${cursor[partition] ?? "0-0"}`;
      return (await redis.send("XRANGE", [
        new DeskKeys(partition).settlements,
        from,
        "+",
        "COUNT",
        String(ENTRIES),
      ])) as [id: string, flat: string[]][];
    }),
  );
  return {
    next: parts
      .map((entries, partition) => entries.at(-1)?.[0] ?? cursor[partition] ?? "0-0")
      .join(","),
    settlements: parts.flat().flatMap(([, flat]) => parseSettlements(flat)),
  };
}

function parseSettlements(flat: readonly string[]): SettlementsAnswer["settlements"] {
  const field = (name: string): string => flat[flat.indexOf(name) + 1] ?? "";
  const close = field("closePriceMicros");
  return (JSON.parse(field("settled")) as SettledContract[]).map(
    ([clientOrderId, account, kind, returnCents]) => ({
      clientOrderId,
      account,
      kind,
      returnCents,
      closePriceMicros: close === "" ? null : Number(close),
      settledAtMs: Number(field("settledAtMs")),
    }),
  );
}

/** Settlements in the order they happened, for whoever follows them with a cursor. */
import type { SettledContract } from "../stored/settle.ts";
import type { PartitionMap } from "../../../redis/keys.ts";
import { DeskKeys } from "../stored/keys.ts";
import type { SettlementsAnswer } from "../../venues/desk/api.ts";
import type { Redis } from "../../runtime/redis.ts";

/** Entries a partition and answer; an entry holds as many contracts as were opened together. */
const ENTRIES = 20;

/** A cursor is the last entry id of each partition, joined by commas. */
const CURSOR = /^\d+-\d+(?:,\d+-\d+)*$/;

export function isCursor(text: string, partitions: PartitionMap): boolean {
  return text === "" || (CURSOR.test(text) && text.split(",").length === partitions.count);
}

export async function settlementsAfter(
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
        ...[from, "+", "COUNT", String(ENTRIES)],
      ])) as [id: string, flat: string[]][];
    }),
  );
  return {
    next: parts
      .map((entries, partition) => entries.at(-1)?.[0] ?? cursor[partition] ?? "0-0")
      .join(","),
    settlements: parts.flat().flatMap(([, flat]) => contractsOf(flat)),
  };
}

function contractsOf(flat: readonly string[]): SettlementsAnswer["settlements"] {
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

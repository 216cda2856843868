/** The reported outcomes of each copy of a close, as `reported.ts` reads them for an open. */
import type { ClientOrderId, SignalId } from "../../domain/ids.ts";
import { clientOrderId } from "../../domain/ids.ts";
import { RegionKeys } from "../../redis/keys.ts";
import { parseStoredSignal, STORED_SIGNAL_FIELDS } from "../../redis/progress.ts";
import { HOME, PARTITIONS, readClosures } from "../support/copier.ts";
import type { Reported, ReportedOutcome } from "./reported.ts";
import type { SentClose, World } from "./world.ts";

export interface Closing extends SentClose, Pick<Reported, "accepted"> {
  /** The signals that it closes, by its acceptance. */
  readonly of: readonly SignalId[];
  /** Those of these signals whose job is missing in some partition. */
  readonly unqueued: readonly SignalId[];
  /** By the order that is closed, in the order of reporting. */
  readonly words: ReadonlyMap<string, readonly ReportedOutcome[]>;
  /** Orders whose job is still on its stream, delivered and not acknowledged. */
  readonly pending: ReadonlySet<SignalId>;
}

export async function readClosing(
  { copier: { redis }, records }: World,
  close: SentClose,
): Promise<Closing> {
  const { id } = close;
  const fields = await redis.send("HMGET", [HOME.signal(id), ...STORED_SIGNAL_FIELDS]);
  const stored = parseStoredSignal(fields)?.signal;
  const recorded = await records.signals.get(id);
  const isRecorded = recorded?.acceptedAtMs !== undefined;
  const of = (stored?.action === "close" ? stored.closes : recorded?.closes) ?? [];
  const queued = await Promise.all(
    PARTITIONS.all().map(async (partition) => {
      const keys = await redis.send("HKEYS", [new RegionKeys(partition).enqueued(id)]);
      return new Set((keys as string[]).map((key) => key.slice(0, key.indexOf("/"))));
    }),
  );
  const words = new Map<string, ReportedOutcome[]>();
  for (const { of: opened, copies } of await readClosures(redis, id)) {
    for (const [subscription, , outcome] of copies) {
      const order = clientOrderId(opened, subscription);
      words.set(order, [...(words.get(order) ?? []), outcome]);
    }
  }
  for (const order of await records.orders.find({ where: { signal: id } })) {
    const { closes, outcome: kind, reason, stakeCents, returnCents } = order;
    if (closes === undefined || kind === undefined) continue;
    const reported = words.get(closes) ?? [];
    if (reported.some((each) => each.kind === kind) || (kind === "unknown" && reported.length > 0))
      continue;
    words.set(closes, [...reported, { kind, reason, stakeCents, returnCents }]);
  }
  return {
    ...close,
    of: of as readonly SignalId[],
    words,
    accepted: stored ? "in Redis" : isRecorded ? "in the records" : "nowhere",
    unqueued: (of as readonly SignalId[]).filter((each) => queued.some((keys) => !keys.has(each))),
    pending: await readPending(redis, id),
  };
}

/** The signals of which a close has a pending job. */
async function readPending(
  redis: World["copier"]["redis"],
  close: SignalId,
): Promise<ReadonlySet<SignalId>> {
  const found = new Set<SignalId>();
  for (const partition of PARTITIONS.all()) {
    const stream = new RegionKeys(partition).closes("fake");
    const pending = await redis
      .send("XPENDING", [stream, "workers", "-", "+", "1000"])
      .catch(() => []);
    for (const [entry] of pending as [string][]) {
      const [row] = (await redis.send("XRANGE", [stream, entry, entry])) as [string, string[]][];
      const fields = row?.[1] ?? [];
      const valueOf = (name: string): string => fields[fields.indexOf(name) + 1] ?? "{}";
      if ((JSON.parse(valueOf("close")) as { id?: string }).id !== close) continue;
      found.add((JSON.parse(valueOf("of")) as { id: SignalId }).id);
    }
  }
  return found;
}

/** Every copy that a close covers, by the order that opened it. */
export function listOrders({ of }: Closing, followers: readonly string[]): ClientOrderId[] {
  return of.flatMap((signal) =>
    followers.map((follower) => clientOrderId(signal, follower as never)),
  );
}

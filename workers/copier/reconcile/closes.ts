/**
 * Compares one close's copies both ways: the copies that it may have to close with
 * their outcomes, and the outcomes with what each broker's list says of the
 * positions.
 */
import type { SignalId } from "../../../domain/ids.ts";
import { closeDispatchesOf } from "../../../redis/enqueue-close.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import type { OrderRecord } from "../../records/port.ts";
import type { Difference, DifferenceKind } from "./differences.ts";
import { readStored, type Known } from "./picture.ts";
import type { Sources } from "./sources.ts";

type KnownClose = Known & { readonly closes: readonly SignalId[] };
type Name = (kind: DifferenceKind, detail: string, subscription?: string) => void;

/**
 * `reported` has the kinds of outcomes in the events that Redis still has, by the
 * order to be closed.
 */
export async function compareClose(
  sources: Sources,
  close: KnownClose,
  reported: ReadonlyMap<string, readonly string[]>,
  unknownBeforeMs: number,
): Promise<Difference[]> {
  const differences: Difference[] = [];
  const { id: signal, channel, followers, acceptedAtMs } = close;
  const name: Name = (kind, detail, subscription) => {
    const whose = subscription === undefined ? {} : { subscription };
    differences.push({ kind, channel, signal, ...whose, detail });
  };
  await compareJobs(sources, close, name);
  const outcomes = await mergeOutcomes(sources, close, reported, name);
  if (outcomes.size < followers) {
    name("CLOSE_WAITING", `${outcomes.size} outcomes of ${followers} copies`);
  } else if (outcomes.size > followers) {
    name("OUTCOME_OF_NOBODY", `${outcomes.size} outcomes of ${followers} copies`);
  }
  if (acceptedAtMs <= unknownBeforeMs) {
    for (const [order, kind] of outcomes) {
      if (kind === "unknown") name("UNKNOWN_TOO_LONG", order, parseSubscription(order));
    }
  }
  await compareBooks(sources, close, outcomes, name);
  return differences;
}

/** Compares the jobs of an accepted close. Finds nothing once Redis has forgotten the close. */
async function compareJobs(
  sources: Sources,
  { id, closes }: KnownClose,
  name: Name,
): Promise<void> {
  const stored = await readStored(sources, id);
  if (stored?.signal.action !== "close") return;
  const closed = await Promise.all(closes.map((each) => readStored(sources, each)));
  const known = closed.filter((each) => each !== undefined);
  for (const { region, enqueue } of closeDispatchesOf(stored.signal, known)) {
    const { partition, broker, jobs } = enqueue;
    const key = new RegionKeys(partition).enqueued(id);
    const fields = jobs.map(({ of, shard }) => `${of.id}/${broker}/${shard}`);
    const found = await sources.regions.get(region)?.send("HMGET", [key, ...fields]);
    for (const [index, field] of fields.entries()) {
      if (((found as (string | null)[] | undefined)?.[index] ?? null) === null) {
        name("JOB_MISSING", field);
      }
    }
  }
}

/**
 * Takes one outcome for each order, a final one before an unknown one, and names
 * the orders with more than one final outcome.
 */
async function mergeOutcomes(
  { records }: Sources,
  { id }: KnownClose,
  reported: ReadonlyMap<string, readonly string[]>,
  name: Name,
): Promise<Map<string, string>> {
  const outcomes = new Map<string, string>();
  for (const order of await records.orders.find({ where: { signal: id } })) {
    const { closes, outcome } = order as Partial<OrderRecord>;
    if (closes !== undefined && outcome !== undefined) outcomes.set(closes, outcome);
  }
  for (const [order, kinds] of reported) {
    const recorded = outcomes.get(order);
    const finals = new Set(kinds.filter((kind) => kind !== "unknown"));
    if (recorded !== undefined && recorded !== "unknown") finals.add(recorded);
    const isTwice = finals.size > 1 || kinds.filter((kind) => kind !== "unknown").length > 1;
    if (isTwice) name("OUTCOME_TWICE", kinds.join(", then "), parseSubscription(order));
    const [final = "unknown"] = finals;
    outcomes.set(order, final);
  }
  return outcomes;
}

async function compareBooks(
  { brokers }: Sources,
  { id, closes }: KnownClose,
  outcomes: ReadonlyMap<string, string>,
  name: Name,
): Promise<void> {
  for (const [broker, { list }] of brokers) {
    for (const of of closes) {
      const listed = await list(of);
      if (listed.kind === "unanswered") {
        name("BROKER_SILENT", broker);
        continue;
      }
      for (const { clientOrderId: order, state, soldBy } of listed.answers) {
        const isClosed = outcomes.get(order) === "closed";
        const isOpen = state === "open" || (state !== undefined && state !== "sold");
        const isOthers = soldBy !== undefined && soldBy !== id;
        if (isClosed && (isOpen || isOthers)) {
          name("CLOSED_NOT_SOLD", `${broker}: ${soldBy ?? state}`, parseSubscription(order));
        } else if (!isClosed && soldBy === id) {
          const said = outcomes.get(order) ?? "no outcome";
          name("SOLD_NOT_CLOSED", `${broker}: ${said}`, parseSubscription(order));
        }
      }
    }
  }
}

function parseSubscription(order: string): string {
  return order.slice(order.indexOf(".") + 1);
}

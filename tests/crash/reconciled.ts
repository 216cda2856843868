/**
 * The reconciler as second judge: its own command, run after a round, must name each difference
 * that the book shows and nothing else.
 */
import { join } from "node:path";
import { clientOrderId, type SignalId, type SubscriptionId } from "../../domain/ids.ts";
import { HomeKeys, RegionKeys } from "../../redis/keys.ts";
import type { Difference, DifferenceKind } from "../../workers/copier/reconcile/differences.ts";
import type { Reconciliation } from "../../workers/copier/reconcile/reconcile.ts";
import type { BookLine } from "../fake-broker/book.ts";
import { runCommand } from "../support/command.ts";
import { PARTITIONS } from "../support/copier.ts";
import { listOrders, type Closing } from "./closings.ts";
import type { Traded } from "./traded.ts";
import { filterFinal, findLast, findLastOutcome, type Reported } from "./reported.ts";
import type { World } from "./world.ts";

/** The differences that may be named for a channel whose Redis lost some of its signals. */
const OF_A_LOG: ReadonlySet<DifferenceKind> = new Set<DifferenceKind>([
  "SEQUENCE_GAP",
  "SEQUENCE_TWICE",
  "SEQUENCE_BEHIND",
  "LINK_MISSING",
  "LINK_BROKEN",
  "LINK_WRONG",
]);

const MOST_TRIES = 5;

export async function reconcilerFaults(world: World, traded: Traded): Promise<string[]> {
  const { followers, reported, closings, book } = traded;
  // Younger signals are left out of a comparison.
  await world.due();
  const { differences } = await askReconciler(world);
  const isKnown = ({ accepted }: Pick<Reported, "accepted">): boolean => accepted !== "nowhere";
  const expected = new Set([
    ...reported.filter(isKnown).flatMap((each) => expectDifferences(each, followers, book)),
    ...closings.filter(isKnown).flatMap((each) => expectedOfClose(each, traded)),
  ]);
  const all = [...reported, ...closings.map(({ id, accepted }) => ({ signal: id, accepted }))];
  const forgot = all.some(({ accepted }) => accepted !== "in Redis");
  const named = new Set(differences.map(formatKey));
  const faults = [...expected]
    .filter((each) => !named.has(each))
    .map((each) => `the reconciler is silent about ${each}`);

  const lost = new Set<string>();
  for (const { signal, accepted } of all) {
    if (accepted !== "nowhere") continue;
    lost.add(signal);
    const isNamed = differences.some((each) => each.signal === signal);
    if (!isNamed && (await leftTraces(world, signal))) {
      faults.push(`the reconciler is silent about the lost ${signal}`);
    }
  }
  for (const each of differences) {
    const { kind, signal = "" } = each;
    const ofALog = OF_A_LOG.has(kind) && forgot;
    if (expected.has(formatKey(each)) || lost.has(signal) || ofALog) continue;
    faults.push(`the reconciler invents ${formatKey(each)}`);
  }
  return faults;
}

async function askReconciler({ env }: World): Promise<Reconciliation> {
  const file = join(env["FANFARE_DATA"] ?? "", "reconciliation.json");
  const words = ["--since", "1h", "--grace", "0s", "--unknown", "0s", "--json", file];
  const ask = () => runCommand(["workers/commands/main.ts", "reconcile", ...words], env);
  let { code, err } = await ask();
  // A store that is too slow to answer is asked again: only what was compared is a verdict.
  for (let tries = 1; code === 2 && tries < MOST_TRIES; tries += 1) ({ code, err } = await ask());
  if (code !== 0 && code !== 1) throw new Error(`the reconciler could not compare: ${err}`);
  const found = (await Bun.file(file).json()) as Reconciliation;
  if ((code === 0) !== (found.differences.length === 0)) {
    throw new Error(`the reconciler exited with ${code} and named ${found.differences.length}`);
  }
  return found;
}

function formatKey({ kind, signal = "", subscription = "" }: Difference): string {
  return `${kind} ${signal}.${subscription}`;
}

/** The differences of one signal's copies, from the book and the reported outcomes alone. */
function expectDifferences(
  each: Reported,
  followers: readonly SubscriptionId[],
  book: readonly BookLine[],
): string[] {
  const { signal, accepted, enqueued, words } = each;
  const found = new Set<string>();
  const name = (kind: DifferenceKind, subscription?: string): void => {
    found.add(formatKey({ kind, signal, ...(subscription ? { subscription } : {}), detail: "" }));
  };
  // A job that was lost with its node, in any state.
  if (accepted === "in Redis" && !enqueued) name("JOB_MISSING");
  for (const follower of followers) {
    const id = clientOrderId(signal, follower);
    const lines = book.filter((line) => line.clientOrderId === id);
    const last = findLastOutcome(each, follower);
    const final = filterFinal(words.get(follower));
    // The followers are known only by their routes, which only Redis has.
    if (!last) name("OUTCOME_MISSING", accepted === "in Redis" ? follower : undefined);
    if (final.length > 1) name("OUTCOME_TWICE", follower);
    if (last?.kind === "unknown") name("UNKNOWN_TOO_LONG", follower);
    if (lines.length > 1) name("ORDER_TWICE", follower);
    if (lines.some((line) => line.bookedAtMs > line.validUntilMs)) name("ORDER_LATE", follower);
    const [line] = lines;
    if (last?.kind === "placed") {
      if (!line) name("PLACED_NOT_AT_BROKER", follower);
      else if (line.stakeCents !== last.stakeCents) name("ORDER_DIFFERS", follower);
    } else if (line && last?.kind !== "unknown") name("AT_BROKER_NOT_PLACED", follower);
  }
  return [...found];
}

/** The same for one close. */
function expectedOfClose(close: Closing, { followers, sales }: Traded): string[] {
  const { id: signal, accepted, copies, unqueued, words } = close;
  const found = new Set<string>();
  const name = (kind: DifferenceKind, subscription?: string): void => {
    found.add(formatKey({ kind, signal, ...(subscription ? { subscription } : {}), detail: "" }));
  };
  if (accepted === "in Redis" && unqueued.length > 0) name("JOB_MISSING");
  if (words.size < copies) name("CLOSE_WAITING");
  for (const order of listOrders(close, followers)) {
    const follower = order.slice(order.indexOf(".") + 1);
    const last = findLast(words.get(order));
    const sale = sales.find(({ sold }) => sold === order);
    if (filterFinal(words.get(order)).length > 1) name("OUTCOME_TWICE", follower);
    if (last?.kind === "unknown") name("UNKNOWN_TOO_LONG", follower);
    if (last?.kind === "closed" && sale?.close !== signal) name("CLOSED_NOT_SOLD", follower);
    if (last?.kind !== "closed" && sale?.close === signal) name("SOLD_NOT_CLOSED", follower);
  }
  return [...found];
}

/** Whether any trace of a signal is left. */
export async function leftTraces({ copier, records }: World, signal: SignalId): Promise<boolean> {
  const streams = PARTITIONS.all().flatMap((partition) => {
    const [home, region] = [new HomeKeys(partition), new RegionKeys(partition)];
    return [home.signals, home.links, region.events, region.jobs("fake"), region.closes("fake")];
  });
  for (const stream of streams) {
    const entries = await copier.redis.send("XRANGE", [stream, "-", "+"]);
    if (JSON.stringify(entries).includes(signal)) return true;
  }
  return (await records.signals.get(signal)) !== undefined;
}

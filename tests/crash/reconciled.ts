/**
 * The reconciler as second judge: its own command, run on what a round left,
 * must name each difference that the book shows and nothing else.
 */
import { join } from "node:path";
import { clientOrderId, type SignalId, type SubscriptionId } from "../../domain/ids.ts";
import { HomeKeys, RegionKeys } from "../../redis/keys.ts";
import type { Difference, DifferenceKind } from "../../workers/reconcile/differences.ts";
import type { Reconciliation } from "../../workers/reconcile/reconcile.ts";
import type { BookLine } from "../fake-broker/book.ts";
import { PARTITIONS } from "../support/copier.ts";
import { lastWord, type Told } from "./told.ts";
import type { World } from "./world.ts";

/** What may be said of a channel whose Redis forgot some of its signals. */
const OF_A_LOG: ReadonlySet<DifferenceKind> = new Set([
  ...(["SEQUENCE_GAP", "SEQUENCE_TWICE", "SEQUENCE_BEHIND"] as const),
  ...(["LINK_MISSING", "LINK_BROKEN", "LINK_WRONG"] as const),
]);

export async function reconcilerFaults(
  world: World,
  followers: readonly SubscriptionId[],
  told: readonly Told[],
): Promise<string[]> {
  const { differences } = await askReconciler(world);
  const known = told.filter(({ accepted }) => accepted !== "nowhere");
  const expected = new Set(known.flatMap((each) => expectedOf(each, followers, world.fake.book())));
  const forgot = told.some(({ accepted }) => accepted !== "in Redis");
  const named = new Set(differences.map(keyOf));
  const faults = [...expected]
    .filter((each) => !named.has(each))
    .map((each) => `the reconciler is silent about ${each}`);

  const lost = new Set<string>();
  for (const { signal, accepted } of told) {
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
    if (expected.has(keyOf(each)) || lost.has(signal) || ofALog) continue;
    faults.push(`the reconciler invents ${keyOf(each)}`);
  }
  return faults;
}

async function askReconciler({ env }: World): Promise<Reconciliation> {
  const file = join(env["FANFARE_DATA"] ?? "", "reconciliation.json");
  const words = ["--since", "1h", "--grace", "0s", "--unknown", "0s", "--json", file];
  const child = Bun.spawn([process.execPath, "workers/reconcile/command.ts", ...words], {
    env: { ...process.env, ...env },
    stdout: "ignore",
    stderr: "pipe",
  });
  const [code, printed] = [await child.exited, await new Response(child.stderr).text()];
  if (code !== 0 && code !== 1) throw new Error(`the reconciler could not compare: ${printed}`);
  const found = (await Bun.file(file).json()) as Reconciliation;
  if ((code === 0) !== (found.differences.length === 0)) {
    throw new Error(`the reconciler exited with ${code} and named ${found.differences.length}`);
  }
  return found;
}

function keyOf({ kind, signal = "", subscription = "" }: Difference): string {
  return `${kind} ${signal}.${subscription}`;
}

/** The differences of one signal's copies, from the book and what was told alone. */
function expectedOf(
  each: Told,
  followers: readonly SubscriptionId[],
  book: readonly BookLine[],
): string[] {
  const { signal, accepted, enqueued, words } = each;
  const found = new Set<string>();
  const name = (kind: DifferenceKind, subscription?: string): void => {
    found.add(keyOf({ kind, signal, ...(subscription ? { subscription } : {}), detail: "" }));
  };
  // A job that was lost with its node, whatever became of it before.
  if (accepted === "in Redis" && !enqueued) name("JOB_MISSING");
  for (const follower of followers) {
    const id = clientOrderId(signal, follower);
    const lines = book.filter((line) => line.clientOrderId === id);
    const last = lastWord(each, follower);
    const final = (words.get(follower) ?? []).filter(({ kind }) => kind !== "unknown");
    // Who the followers were is known by their routes alone, which only Redis has.
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

/** Whether anything at all is left of a signal, for anyone to see that it once was. */
export async function leftTraces({ copier, records }: World, signal: SignalId): Promise<boolean> {
  const streams = PARTITIONS.all().flatMap((partition) => {
    const [home, region] = [new HomeKeys(partition), new RegionKeys(partition)];
    return [home.signals, home.links, region.jobs("fake"), region.events];
  });
  for (const stream of streams) {
    const entries = await copier.redis.send("XRANGE", [stream, "-", "+"]);
    if (JSON.stringify(entries).includes(signal)) return true;
  }
  return (await records.signals.get(signal)) !== undefined;
}

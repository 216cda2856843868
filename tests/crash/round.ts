/** One round: real processes, one disaster during a few fan-outs, and the verdict. */
import { clientOrderId, type SubscriptionId } from "../../domain/ids.ts";
import { followerOf } from "../support/copier.ts";
import { listOrders, readClosing, type Closing } from "./closings.ts";
import type { Equipment } from "./disaster.ts";
import type { Plan } from "./plan.ts";
import { leftTraces, reconcilerFaults } from "./reconciled.ts";
import { recordFaults } from "./recorded.ts";
import { mayWait } from "./sold.ts";
import type { Traded, Verdict } from "./traded.ts";
import { passes, strike } from "./strike.ts";
import { findLast, findLastOutcome, readReported, type Reported } from "./reported.ts";
import { judge, mayStayUnknown } from "./verdict.ts";
import { FOLLOWERS, startWorld, type World } from "./world.ts";

const GIVE_UP_MS = 30_000;
/**
 * Outcomes that a lost primary may have taken are not waited for as long as those that must come.
 */
const LOST_MS = 8_000;

export interface Played extends Verdict {
  /**
   * Whether the crash point was reached; a point of questions is never reached if everything is
   * answered.
   */
  readonly struck: boolean;
}

export async function playRound(
  plan: Plan,
  seed: number,
  equipment: Pick<Equipment, "mongo" | "noteSyncs">,
): Promise<Played> {
  const world = await startWorld(plan, seed, equipment);
  try {
    await world.fake.misbehave(plan.faults);
    const struck = await strike(world);
    await world.fake.misbehave({});
    const followers = Array.from({ length: FOLLOWERS }, (_, index) => followerOf(index).id);
    await settled(world, followers);
    const recorded = await awaitRecorded(world, followers);
    // Copies that waited for an answer at the settlement may have it now, and continue.
    const traded = await settled(world, followers);
    const verdict = judge(traded);
    const reconciled = await reconcilerFaults(world, traded);
    return { ...verdict, faults: [...verdict.faults, ...recorded, ...reconciled], struck };
  } finally {
    await world.stop();
  }
}

async function readTraded(world: World, followers: readonly SubscriptionId[]): Promise<Traded> {
  const { plan, fake, holds } = world;
  const reported = await Promise.all(world.sent.map((signal) => readReported(world, signal)));
  const closings = await Promise.all(world.closes.map((close) => readClosing(world, close)));
  // Read last: everything reported as placed or closed is in it by then.
  return { plan, followers, reported, closings, book: fake.book(), sales: fake.sales(), holds };
}

/** Waits until everything that can be known is reported; returns the reported outcomes. */
async function settled(world: World, followers: readonly SubscriptionId[]): Promise<Traded> {
  const patienceMs = world.plan.disaster.kind === "kill primary" ? LOST_MS : GIVE_UP_MS;
  let traded = await readTraded(world, followers);
  await passes(async () => {
    traded = await readTraded(world, followers);
    const over = await Promise.all(traded.reported.map((each) => isOver(world, followers, each)));
    return over.every(Boolean) && traded.closings.every((close) => isClosed(traded, close));
  }, patienceMs);
  return traded;
}

function isClosed(traded: Traded, close: Closing): boolean {
  return listOrders(close, traded.followers).every((order) => {
    const last = findLast(close.words.get(order));
    return (last && last.kind !== "unknown") || mayWait(traded, close, order);
  });
}

async function isOver(
  world: World,
  followers: readonly SubscriptionId[],
  reported: Reported,
): Promise<boolean> {
  const { signal, accepted } = reported;
  const book = Map.groupBy(world.fake.book(), (line) => line.clientOrderId);
  if (accepted !== "in Redis") {
    // The broker's settlements are the last information that can come.
    const has = [...book.keys()].some((id) => id.startsWith(`${signal}.`));
    return !has || (await leftTraces(world, signal));
  }
  return followers.every((follower) => {
    const id = clientOrderId(signal, follower);
    const last = findLastOutcome(reported, follower);
    if (last?.kind !== "unknown") return last !== undefined;
    return mayStayUnknown(world.plan.broker, id, book.get(id)?.length ?? 0);
  });
}

/** Waits until the records agree with the events; returns the differences that remain. */
async function awaitRecorded(
  world: World,
  followers: readonly SubscriptionId[],
): Promise<string[]> {
  let faults: string[] = [];
  await passes(async () => {
    faults = await recordFaults(world, await readTraded(world, followers));
    return faults.length === 0;
  }, GIVE_UP_MS);
  return faults;
}

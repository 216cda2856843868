/**
 * Plays a round: a few signals with a disaster between them, and one signal afterwards; closes
 * before and after the disaster.
 */
import { RegionKeys } from "../../redis/keys.ts";
import { moveToDeadLetters } from "../../redis/streams.ts";
import { HOME, PARTITIONS } from "../support/copier.ts";
import type { RoleProcess } from "../support/role.ts";
import { until } from "../support/wait.ts";
import { aroundScripts, strikesCloses, type Disaster, type RoleName } from "./disaster.ts";
import type { World } from "./world.ts";

const SIGNALS = 3;
const SYMBOL = "EUR/USD";
/** How long to wait for a halted close to be tried; if nothing was opened, nothing is tried. */
const HELD_MS = 3_000;
/** At most; a busy machine takes seconds to come to a point that an idle one passes at once. */
const DIES_WITHIN_MS = 20_000;
/** After the dispatcher's grace. */
const DISPATCHED_MS = 200;

type Processes = Readonly<Record<RoleName, RoleProcess>>;

/** Returns whether the disaster happened: a crash point may never be reached. */
export async function strike(world: World): Promise<boolean> {
  const { disaster } = world.plan;
  const crash = (role: RoleName): string | undefined => crashAt(disaster, role);
  const processes: Processes = {
    dispatch: await world.start("dispatch", "one", crash("dispatch")),
    broker: await world.start("broker", "one", crash("broker")),
    recorder: await world.start("recorder", "one", crash("recorder")),
  };
  if (disaster.kind === "crash" && aroundScripts(moveToDeadLetters).includes(disaster.at))
    await sendNoJob(world);
  if (disaster.kind === "cut Redis") await justSynced();
  for (let index = 0; index < SIGNALS; index += 1) {
    const isLast = index === SIGNALS - 1;
    if (disaster.kind === "kill primary" && disaster.ahead && isLast) {
      await world.cluster?.detachReplicaOf(keyAt(disaster.of));
    }
    await world.send();
  }
  const lift = await closeFirst(world);
  const acceptedBytes = world.redis?.appendedBytes() ?? 0;
  const struck = await causeDisaster(world, disaster, processes, acceptedBytes);
  await lift();
  await world.send();
  if (world.plan.closes !== "none") await world.close({ symbol: SYMBOL });
  return struck;
}

/** Returns a function that lifts the halt on the close. */
async function closeFirst(world: World): Promise<() => Promise<void>> {
  const [signal] = world.sent;
  const { closes } = world.plan;
  const lifted = async (): Promise<void> => {};
  if (closes === "none" || signal === undefined) return lifted;
  if (closes === "under way") {
    await world.close({ signal });
    return lifted;
  }
  // Orders that are halted before they are sent are never opened, so there is nothing to hold.
  await booked(world);
  const lift = await world.hold(closes.heldBy);
  await world.close({ signal });
  return async () => {
    await passes(() => isPutOff(world), HELD_MS);
    await lift();
  };
}

/** Whether a worker has tried a job that closes, and could not do it. */
async function isPutOff({ copier }: World): Promise<boolean> {
  for (const partition of PARTITIONS.all()) {
    const stream = new RegionKeys(partition).closes("fake");
    const entries = await copier.redis.send("XRANGE", [stream, "-", "+"]);
    for (const [, flat] of entries as [string, string[]][]) {
      if (Number(flat[flat.indexOf("tries") + 1]) > 1) return true;
    }
  }
  return false;
}

function crashAt(disaster: Disaster, role: RoleName): string | undefined {
  if (disaster.kind === "halt" && role === "broker") {
    return `${disaster.at}:${disaster.nth}:stop`;
  }
  if (disaster.kind !== "crash" || disaster.role !== role) return undefined;
  // The job of a dead worker can be claimed.
  if (disaster.at === "after-claim") return "before-send:1:kill";
  return `${disaster.at}:${disaster.nth}:kill`;
}

async function causeDisaster(
  world: World,
  disaster: Disaster,
  processes: Processes,
  acceptedBytes: number,
): Promise<boolean> {
  const { redis, cluster, fake, toxiproxy, mongo } = world;
  const { broker } = processes;
  let struck = true;
  if ("afterMs" in disaster) await Bun.sleep(DISPATCHED_MS + disaster.afterMs);
  switch (disaster.kind) {
    case "crash": {
      const { role, at, nth } = disaster;
      struck = await dies(processes[role]);
      // Where no open was in time, as on a busy machine, there is nothing to close, and no such point.
      struck ||= strikesCloses(disaster) && fake.book().length === 0;
      if (at === "after-claim") {
        const heir = await world.start(role, "two", `${at}:${nth}:kill`);
        struck &&= await dies(heir);
        await world.start(role, "two");
      }
      await world.start(role, "one");
      break;
    }
    case "kill unanswered":
      await fake.misbehave({ silent: 1 });
      struck = await booked(world);
      await broker.kill();
      await fake.misbehave(world.plan.faults);
      await world.start("broker", "one");
      break;
    case "kill worker":
      await broker.kill();
      await world.start("broker", "one");
      break;
    case "halt":
      struck = await passes(() => broker.state() === "halted", 5_000);
      await world.start("broker", "two");
      await Bun.sleep(disaster.forMs);
      broker.resume();
      break;
    case "dead broker":
      await fake.misbehave({ dead: true });
      await Bun.sleep(disaster.forMs);
      await fake.misbehave(world.plan.faults);
      break;
    case "spoil": {
      const { layers } = new RegionKeys(disaster.partition);
      const fields = ["platform", "1,{", "version", "1"];
      await world.copier.redis.send("HSET", [layers, ...fields]);
      break;
    }
    case "kill Redis":
      await redis?.kill();
      await redis?.restart();
      break;
    case "cut Redis": {
      await redis?.kill();
      const [synced, all] = [redis?.syncedBytes() ?? 0, redis?.appendedBytes() ?? 0];
      redis?.cutTo(all - Math.floor((all - synced) * disaster.share));
      await redis?.restart();
      break;
    }
    case "forget the sending":
      struck = await booked(world);
      await redis?.kill();
      redis?.cutTo(acceptedBytes);
      await redis?.restart();
      break;
    case "pause Redis":
      redis?.pause();
      await Bun.sleep(disaster.forMs);
      redis?.resume();
      break;
    case "cut MongoDB":
      mongo?.link.cut();
      await Bun.sleep(disaster.forMs);
      mongo?.link.mend();
      break;
    case "pause MongoDB":
      mongo?.server.process?.pause();
      await Bun.sleep(disaster.forMs);
      mongo?.server.process?.resume();
      break;
    case "kill MongoDB":
      await mongo?.server.process?.killAndRestart?.();
      break;
    case "network":
      await toxiproxy?.spoil(disaster.to, disaster.toxic);
      await Bun.sleep(disaster.forMs);
      await toxiproxy?.restore(disaster.to);
      break;
    case "kill primary":
      await cluster?.killPrimaryOf(keyAt(disaster.of));
      break;
    case "move a partition":
      await cluster?.moveSlotOf(new RegionKeys(disaster.partition).events);
      await cluster?.whole();
      break;
  }
  return struck;
}

function keyAt(of: "home" | number): string {
  return of === "home" ? HOME.signals : new RegionKeys(of).events;
}

/**
 * Under `everysec` a Redis syncs once a second: what is written after that is the tail that a cut
 * may take.
 */
async function justSynced(): Promise<void> {
  await Bun.sleep(1_100 - (Date.now() % 1_000));
}

/** Adds an invalid entry to a job stream, so that there is a dead letter. */
async function sendNoJob({ copier }: World): Promise<void> {
  await copier.redis.send("XADD", [new RegionKeys(0).jobs("fake"), "*", "signal", "none"]);
}

function booked({ fake }: World): Promise<boolean> {
  return passes(() => fake.book().length > 0, 2_500);
}

async function dies(role: RoleProcess): Promise<boolean> {
  const died = await passes(() => role.state() === "dead", DIES_WITHIN_MS);
  await role.kill();
  return died;
}

/** Waits for a condition that may never become true; the verdict shows whether it did. */
export async function passes(
  probe: () => Promise<boolean> | boolean,
  timeoutMs: number,
): Promise<boolean> {
  return await until("it is so", async () => await probe(), timeoutMs).catch(() => false);
}

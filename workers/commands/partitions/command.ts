/**
 * `npm run partitions -- <count>`: raises the number of partitions of the home
 * and of every region, while nothing uses them. It may be killed at any moment:
 * every process refuses partitions that are being raised, and running the same
 * command again continues.
 */
import * as v from "valibot";
import {
  FORMAT_VERSION,
  MAX_PARTITIONS,
  partitionsText,
  readRaise,
  type Raise,
  type RunAll,
} from "../../../redis/format.ts";
import { formatKey, PartitionMap } from "../../../redis/keys.ts";
import { checkRoster } from "../../copier/roster/check.ts";
import { openAudit } from "../../desk/audit/open.ts";
import type { AuditStore } from "../../desk/audit/port.ts";
import { openRecords } from "../../records/open.ts";
import type { Records } from "../../records/port.ts";
import { armCrashPoint, crashPoint } from "../../runtime/crash-point.ts";
import { AUDIT_STORE, CONSUMER, PROCESS, REDIS, REGIONS } from "../../runtime/env.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { Failure, WordsError, type Command } from "../command.ts";
import { findAudited, momentAfter, splitAudits } from "./audit.ts";
import { copyAll, partitionKeys, removeMoved } from "./move.ts";
import type { PlacementParts } from "./placement.ts";
import { findClients, findUnderWay } from "./under-way.ts";

const { FANFARE_CRASH_AT } = PROCESS;
const PartitionsEnv = v.object({
  ...REDIS,
  ...REGIONS,
  ...CONSUMER,
  ...AUDIT_STORE,
  FANFARE_CRASH_AT,
});

/**
 * After this time, a write is on the Redis' disk under `everysec`, and on its
 * replica. No step relies on a write that a crash could undo.
 */
const DURABLE_MS = 2_000;

/** A Redis that is not raised yet. */
interface Raising {
  readonly name: string;
  readonly redis: Redis;
  readonly raise: Raise;
  /** Whether it is marked, so that no process starts on it. */
  readonly isBegun: boolean;
}

interface Stores {
  readonly records: Records;
  readonly audit: AuditStore;
  readonly server: string;
}

export const command: Command<typeof PartitionsEnv, number> = {
  description: "raises the number of partitions, while nothing works on them",
  usage: "usage: npm run partitions -- <count>",
  exits: {
    0: "all data are in that many partitions",
    1: "nothing was changed, or the command must be given again: the message says which",
    2: "the words or the settings cannot be read",
  },
  settings: PartitionsEnv,
  isUncompared: true,
  failure: { says: "the number of partitions was not raised", exit: 1 },
  declare: (words) => words.argument("<count>", "a multiple of the number that there is"),
  read({ args: [text = ""] }) {
    const count = /^\d{1,4}$/.test(text) ? Number(text) : 0;
    if (count >= 1 && count <= MAX_PARTITIONS) return count;
    throw new WordsError(`not a number of partitions, 1 to ${MAX_PARTITIONS}`);
  },
  async run({ settings, connections, clock }, count) {
    armCrashPoint(settings.FANFARE_CRASH_AT);
    const { FANFARE_REDIS_URL: homeUrl } = settings;
    const urls = new Map(Object.entries(settings.FANFARE_REGION_REDIS_URLS ?? {}));
    const redises = [
      ["home", connections.redis] as const,
      ...[...connections.regions].flatMap(([name, redis]) =>
        // One machine has both in one Redis.
        (urls.get(name) ?? homeUrl) === homeUrl ? [] : [[`region ${name}`, redis] as const],
      ),
    ];
    const found: Raising[] = [];
    for (const [name, redis] of redises) {
      const planned = await planRaise(redis, count, clock.nowMs());
      if (typeof planned === "string") throw new Failure(`Redis (${name}): ${planned}`);
      if (planned) found.push({ name, redis, ...planned });
    }
    const records = await openRecords(settings);
    const audit = await openAudit(settings);
    try {
      const stores = { records, audit, server: settings.FANFARE_CONSUMER };
      await begin(found, audit);
      const hasCopier = await raiseAll(found, stores);
      if (hasCopier) {
        const { redis: home, regions } = connections;
        await checkRoster(records, { home, regions, partitions: new PartitionMap(count) });
      }
      for (const each of found) await finish(each, stores);
    } finally {
      await Promise.all([records.close(), audit.close()]);
    }
    console.log(`all data are in ${count} partitions: set FANFARE_PARTITIONS to ${count}`);
    return 0;
  },
};

function runAllOn(redis: Redis): RunAll {
  return async (script, each) => await Promise.all(each.map((args) => run(redis, script, args)));
}

/** Undefined if it is already raised. A text says why it cannot be raised. */
async function planRaise(
  redis: Redis,
  to: number,
  nowMs: number,
): Promise<Pick<Raising, "raise" | "isBegun"> | string | undefined> {
  const state = await readRaise(runAllOn(redis));
  if (state.kind === "unfit") return state.why;
  if (state.kind === "raising") {
    const { raise } = state;
    if (raise.to === to) return { raise, isBegun: true };
    return `its data are on their way to ${raise.to} partitions: raise it to those first`;
  }
  const from = state.partitions;
  if (from === to) return undefined;
  if (to < from) return `its data are in ${from} partitions, and the number can only be raised`;
  if (to % from !== 0) return `its data are in ${from} partitions: name a multiple of that`;
  const atMs = await momentAfter(redis, from, nowMs);
  return { raise: { from, to, atMs, isCopied: false }, isBegun: false };
}

/**
 * Marks each Redis, so that no process starts on it, once none has work in
 * progress. A process that started meanwhile is found then, before anything is
 * moved.
 */
async function begin(found: readonly Raising[], audit: AuditStore): Promise<void> {
  const fresh = found.filter(({ isBegun }) => !isBegun);
  await mustBeUnused(found);
  for (const each of fresh) await mustBeAtRest(each, audit);
  for (const { redis, raise } of found) {
    if (!raise.isCopied) await writeAll(redis, raise.from, partitionsText(raise));
  }
  crashPoint("after-raise-begun");
  try {
    await mustBeUnused(fresh);
  } catch (error) {
    for (const { redis, raise } of fresh) await writeAll(redis, raise.from, String(raise.from));
    throw error;
  }
  if (fresh.length > 0) await Bun.sleep(DURABLE_MS);
}

async function mustBeUnused(found: readonly Raising[]): Promise<void> {
  const clients = await findClients(found.map(({ redis }) => redis));
  if (clients.length === 0) return;
  throw new Failure(
    `there are clients at work (${clients.join(", ")}): stop every edge and worker`,
  );
}

async function mustBeAtRest({ name, redis, raise }: Raising, audit: AuditStore): Promise<void> {
  const { underWay, hasDesk } = await findUnderWay(redis, raise.from);
  const at = `Redis (${name})`;
  if (underWay.length > 0) {
    throw new Failure(
      `${at} has ${underWay.join("; ")}: stop the edges, let the workers run until these are done, then stop them`,
    );
  }
  const audited = hasDesk ? await findAudited(audit, raise) : undefined;
  if (audited === undefined) return;
  throw new Failure(`${at}: the audit's store has entries of partition ${audited} already`);
}

async function writeAll(redis: Redis, count: number, partitions: string): Promise<void> {
  for (const partition of new PartitionMap(count).all()) {
    const fields = ["version", String(FORMAT_VERSION), "partitions", partitions];
    await redis.send("HSET", [formatKey(partition), ...fields]);
    crashPoint("after-format-written");
  }
}

/**
 * Afterwards each Redis has every item in its new place, and still in its old one.
 * Returns whether the copier is there.
 */
async function raiseAll(found: readonly Raising[], stores: Stores): Promise<boolean> {
  let hasCopier = false;
  for (const { name, redis, raise } of found) {
    const kinds = new Set<string>();
    for await (const { kind } of partitionKeys(redis)) kinds.add(kind);
    hasCopier ||= kinds.has("home") || kinds.has("region");
    if (!raise.isCopied) {
      console.log(`Redis (${name}): copying from ${raise.from} to ${raise.to} partitions …`);
      await copyAll(placementParts(redis, raise, stores));
      if (kinds.has("desk")) {
        await splitAudits({ redis, store: stores.audit, server: stores.server, raise });
      }
      await Bun.sleep(DURABLE_MS);
    }
    await writeAll(redis, raise.to, partitionsText({ ...raise, isCopied: true }));
  }
  return hasCopier;
}

async function finish({ redis, raise }: Raising, stores: Stores): Promise<void> {
  await removeMoved(placementParts(redis, raise, stores));
  await writeAll(redis, raise.to, String(raise.to));
}

function placementParts(redis: Redis, { from, to }: Raise, { records }: Stores): PlacementParts {
  return { redis, records, from, map: new PartitionMap(to) };
}

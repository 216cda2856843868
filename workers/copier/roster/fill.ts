/**
 * Fills a Redis that is empty: a new one, one that was flushed, or one that lost
 * its disk. Its missing mark shows that it is empty (`redis/filled.ts`). It
 * refuses until it is filled, and it is filled from the records without a person's
 * help.
 *
 * The mark is written last. If the filler dies earlier, the partition still
 * refuses, and the next attempt starts from the beginning: every write may be
 * repeated. A Redis that is emptied again during the filling has lost the claim as
 * well, and is not marked.
 */
import { getLogger } from "@logtape/logtape";
import type { ChannelId } from "../../../domain/ids.ts";
import {
  CLAIM_MS,
  claimFill,
  dropClaim,
  filledSince,
  finishFill,
  keepClaim,
  type FillArgs,
} from "../../../redis/filled.ts";
import { compareFormat } from "../../../redis/format.ts";
import { nameOf } from "../../../http/place.ts";
import type { Records } from "../../records/port.ts";
import type { Clock } from "../../runtime/clock.ts";
import { crashPoint } from "../../runtime/crash-point.ts";
import { Unavailable } from "../../runtime/outage.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { CLOCK_SKEW_MS } from "../stored/run.ts";
import { checkRoster } from "./check.ts";
import type { Targets } from "./projector.ts";
import { projectStops } from "./stops.ts";
import { restoreUnfinished } from "./unfinished.ts";

const EVERY_MS = 1_000;
/** A signal accepted around the time of the claim counts as one from before the loss. */
const OLD_ENOUGH_MS = CLOCK_SKEW_MS + 100;
const ANSWERS_WITHIN_MS = 1_000;

/** The home or the region of one Redis. It is filled, claimed and marked as one. */
interface Filled {
  /** Undefined for the home. */
  readonly region: string | undefined;
  readonly redis: Redis;
}

interface Claim extends FillArgs {
  readonly redis: Redis;
}

/** The home first: every filler claims in this order. */
function listParts({ home, regions }: Targets): Filled[] {
  return [
    { region: undefined, redis: home },
    ...[...regions].map(([region, redis]) => ({ region, redis })),
  ];
}

function nameOfPart({ region }: Filled): string {
  return region === undefined ? "home" : `region ${region}`;
}

async function readUnfilled({ partitions }: Targets, { region, redis }: Filled): Promise<number[]> {
  const part = region === undefined ? "home" : "region";
  const since = await Promise.all(
    partitions.all().map((partition) => run(redis, filledSince, { partition, part })),
  );
  return partitions.all().filter((partition) => since[partition] === undefined);
}

/**
 * Fills every reachable part that is not filled. If all are filled, it only checks
 * the roster. Rejects if a Redis or the records do not answer. Returns false if
 * another process fills, or if the Redis was emptied again meanwhile.
 */
export async function fillAll(records: Records, targets: Targets): Promise<boolean> {
  return await fill(records, targets, listParts(targets));
}

async function fill(
  records: Records,
  targets: Targets,
  parts: readonly Filled[],
  onlyRegion?: string,
): Promise<boolean> {
  const log = getLogger(["fanfare", "fill"]);
  const filler = crypto.randomUUID();
  const claims: Claim[] = [];
  let isHomeEmpty = false;
  const startedMs = performance.now();
  try {
    for (const each of parts) {
      const unfilled = await readUnfilled(targets, each);
      if (unfilled.length === 0) continue;
      const { region, redis } = each;
      log.warn("{which} is not filled (partitions {unfilled}): it refuses until it is", {
        which: nameOfPart(each),
        unfilled: unfilled.join(", "),
      });
      await writeFormat(targets, each);
      isHomeEmpty ||= region === undefined;
      for (const partition of unfilled) {
        const part = region === undefined ? "home" : "region";
        const reply = await run(redis, claimFill, { partition, part, filler });
        if (reply === "another") return false;
        if (reply === "claimed") claims.push({ redis, partition, part, filler });
      }
    }

    const claimedMs = performance.now();
    const isKept = await keepingClaims(claims, async () => {
      crashPoint("before-fill");
      // Stops come first, before any data that lets orders be sent.
      await projectStops(records, targets, new Set(parts.map(({ redis }) => redis)));
      await checkRoster(records, targets, onlyRegion);
      if (claims.length === 0) return;
      for await (const { _id } of records.channels.each({})) {
        const restored = await restoreUnfinished(records, targets, _id as ChannelId, isHomeEmpty);
        if (restored > 0) {
          log.info("{restored} signals of {channel} are dispatched again", {
            restored,
            channel: _id,
          });
        }
      }
    });
    if (!isKept) return false;
    // A signal accepted within this time of the claim would only be asked about at the broker.
    const leftMs = OLD_ENOUGH_MS - (performance.now() - claimedMs);
    if (claims.length > 0 && leftMs > 0) await Bun.sleep(leftMs);
    crashPoint("before-filled");
    const finished = await Promise.all(
      claims.map(async ({ redis, ...claim }) => await run(redis, finishFill, claim)),
    );
    if (finished.length > 0) {
      log.info("filled from the records in {ms} ms", {
        ms: Math.round(performance.now() - startedMs),
      });
    }
    return finished.every(Boolean);
  } finally {
    // A marked part no longer has a claim. This does not wait for a Redis that is away.
    for (const { redis, ...claim } of claims) run(redis, dropClaim, claim).catch(() => undefined);
  }
}

/** Returns whether all claims remained ours until the work was done. */
async function keepingClaims(
  claims: readonly Claim[],
  work: () => Promise<void>,
): Promise<boolean> {
  let isKept = true;
  const keep = async (): Promise<void> => {
    const kept = await Promise.all(
      claims.map(async ({ redis, ...claim }) => await run(redis, keepClaim, claim)),
    );
    if (!kept.every(Boolean)) isKept = false;
  };
  const timer = setInterval(() => {
    // If a Redis does not answer, the work fails as well.
    keep().catch(() => undefined);
  }, CLAIM_MS / 4);
  try {
    await work();
    return isKept;
  } finally {
    clearInterval(timer);
  }
}

/** Writes the number of partitions again, because it was lost with the data. */
async function writeFormat({ partitions }: Targets, { redis }: Filled): Promise<void> {
  const reply = await compareFormat(
    async (script, each) => await Promise.all(each.map((args) => run(redis, script, args))),
    partitions.count,
  );
  // If another process wrote a different number first, each process sees the difference by itself,
  // and ends.
  if (reply.kind === "differs") throw new Unavailable(reply.why);
}

/**
 * Looks at every Redis once a second and fills those that are empty, until
 * stopped. A region is filled on its own. A home needs every region for its
 * routes: while one is away the home refuses, because the followers of that region
 * would be missing from the signals that it accepts.
 */
export async function followFills(
  records: Records,
  targets: Targets,
  clock: Clock,
  stop: AbortSignal,
): Promise<void> {
  const log = getLogger(["fanfare", "fill"]);
  /** Parts that are being filled. If the Redis of one is killed, the others do not wait for it. */
  const running = new Set<string>();
  const begin = (name: string, parts: readonly Filled[], onlyRegion?: string): void => {
    running.add(name);
    void fill(records, targets, parts, onlyRegion)
      .catch((error: unknown) => {
        log.warn("{name} could not be filled, trying again: {error}", {
          name,
          error: nameOf(error),
        });
      })
      .finally(() => running.delete(name));
  };
  const parts = listParts(targets);
  /** Checks without an answer yet. A Redis that is away gets no further check each second. */
  const looking = new Set<Filled>();
  async function isEmpty(each: Filled): Promise<boolean> {
    if (looking.has(each)) return false;
    looking.add(each);
    const empty = readUnfilled(targets, each)
      .then((found) => found.length > 0)
      // A Redis that is away is checked again later.
      .catch(() => false)
      .finally(() => looking.delete(each));
    return await Promise.race([empty, clock.sleep(ANSWERS_WITHIN_MS).then(() => false)]);
  }
  while (!stop.aborted) {
    const again = clock.sleep(EVERY_MS);
    const unfilled = await Promise.all(parts.map(isEmpty));
    const empty = parts.filter((_, index) => unfilled[index]);
    if (empty.some(({ region }) => region === undefined)) {
      // This fills the regions as well.
      if (running.size === 0) begin("home", parts);
    } else if (!running.has("home")) {
      for (const each of empty) {
        const name = nameOfPart(each);
        if (!running.has(name)) begin(name, [each], each.region);
      }
    }
    await again;
  }
}

/** Compares the policies in every region partition with the recorded settings, both ways. */
import { getLogger } from "@logtape/logtape";
import type { SettingsScope } from "../../../domain/copier/setting.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { setLayer } from "../stored/layers.ts";
import { chunks } from "../../records/chunks.ts";
import type { Records, SettingsRecord } from "../../records/port.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { markProjected } from "./outbox.ts";
import { projectLayers, type Targets } from "./projector.ts";
import { followerOf, projectSettings } from "./settings.ts";

export interface LayersCheck {
  readonly settings: number;
  readonly projected: number;
  /** Policies without a record. */
  readonly dropped: number;
}

/**
 * Call this before the subscriptions are checked: a follower's settings that are
 * still in the outbox raise the versions of their subscriptions.
 */
export async function checkLayers(records: Records, targets: Targets): Promise<LayersCheck> {
  // Redis is read before the records, so a setting recorded in between is newer than this.
  const projectedBefore = await readLayers(targets);
  let settings = 0;
  let projected = 0;
  for await (const found of chunks(records.settings.each({}))) {
    settings += found.length;
    const some = await raiseRestored(records, found, projectedBefore);
    projected += await projectLayers(
      targets,
      some.filter(({ _id }) => followerOf(_id) === undefined),
    );
    const waiting = some.filter(({ _id, outbox }) => outbox && followerOf(_id) !== undefined);
    await projectSettings(records, targets, waiting);
    await markProjected(records.settings, waiting);
  }
  let dropped = 0;
  for (const each of projectedBefore) dropped += await dropStrangers(records, each);
  return { settings, projected, dropped };
}

/** The policies that one region partition stores. */
interface StoredLayers {
  readonly redis: Redis;
  readonly partition: number;
  /** Scope → version. */
  readonly versions: ReadonlyMap<string, number>;
}

async function readLayers({ regions, partitions }: Targets): Promise<StoredLayers[]> {
  const found: StoredLayers[] = [];
  for (const redis of regions.values()) {
    for (const partition of partitions.all()) {
      const key = new RegionKeys(partition).layers;
      const stored = (await redis.send("HGETALL", [key])) as Record<string, string>;
      const { version: _, ...layers } = stored;
      const versions = Object.entries(layers).map(
        ([scope, text]) => [scope, Number.parseInt(text, 10)] as const,
      );
      found.push({ redis, partition, versions: new Map(versions) });
    }
  }
  return found;
}

/**
 * If a record is older than its projection, the records were restored from a
 * backup. The records are right, so their version is raised above the one in
 * Redis. Otherwise neither they nor later changes would be written to Redis.
 */
async function raiseRestored(
  { settings }: Pick<Records, "settings">,
  found: readonly SettingsRecord[],
  projected: readonly StoredLayers[],
): Promise<readonly SettingsRecord[]> {
  const raised = found.map((record) => {
    const newest = Math.max(...projected.map(({ versions }) => versions.get(record._id) ?? 0));
    return newest > record.version ? { ...record, version: newest + 1, outbox: true } : record;
  });
  const behind = raised.filter((record, index) => record !== found[index]);
  if (behind.length > 0) {
    getLogger(["fanfare", "roster"]).error(
      "the records of {settings} settings were behind Redis, as after a restore: the recorded settings apply",
      { settings: behind.length },
    );
    await settings.putNewer(behind);
  }
  return raised;
}

async function dropStrangers(
  { settings }: Records,
  { redis, partition, versions }: StoredLayers,
): Promise<number> {
  const found = await settings.find({ where: { _id: [...versions.keys()] } });
  const known = new Set(found.map(({ _id }) => _id));
  let dropped = 0;
  for (const [scope, version] of versions) {
    if (known.has(scope)) continue;
    const strange = { scope: scope as SettingsScope, version };
    if (await run(redis, setLayer, { partition, ...strange })) dropped += 1;
  }
  return dropped;
}

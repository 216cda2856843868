/** The layers of every region partition against the recorded settings, both ways. */
import type { SettingsScope } from "../../../domain/copier/setting.ts";
import { RegionKeys } from "../../../redis/keys.ts";
import { setLayer } from "../stored/layers.ts";
import { chunks } from "../../records/chunks.ts";
import type { Records } from "../../records/port.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { markProjected } from "./outbox.ts";
import { projectLayers, type Targets } from "./projector.ts";
import { followerOf, projectSettings } from "./settings.ts";

export interface LayersCheck {
  readonly settings: number;
  readonly projected: number;
  /** Layers that no records stood behind. */
  readonly dropped: number;
}

/** To be called before the subscriptions are walked: a follower's settings that still wait raise their versions. */
export async function checkLayers(records: Records, targets: Targets): Promise<LayersCheck> {
  let settings = 0;
  let projected = 0;
  for await (const some of chunks(records.settings.each({}))) {
    settings += some.length;
    projected += await projectLayers(
      targets,
      some.filter(({ _id }) => followerOf(_id) === undefined),
    );
    const waiting = some.filter(({ _id, outbox }) => outbox && followerOf(_id) !== undefined);
    await projectSettings(records, targets, waiting);
    await markProjected(records.settings, waiting);
  }
  let dropped = 0;
  for (const redis of targets.regions.values()) {
    for (const partition of targets.partitions.all()) {
      dropped += await dropStrangers(records, redis, partition);
    }
  }
  return { settings, projected, dropped };
}

async function dropStrangers(
  { settings }: Records,
  redis: Redis,
  partition: number,
): Promise<number> {
  const key = new RegionKeys(partition).layers;
  const stored = (await redis.send("HGETALL", [key])) as Record<string, string>;
  const { version: _, ...layers } = stored;
  // Asked after Redis was read: what was recorded in between is known.
  const found = await settings.find({ where: { _id: Object.keys(layers) } });
  const known = new Set(found.map(({ _id }) => _id));
  let dropped = 0;
  for (const [scope, text] of Object.entries(layers)) {
    if (known.has(scope)) continue;
    const strange = { scope: scope as SettingsScope, version: Number.parseInt(text, 10) };
    if (await run(redis, setLayer, { partition, ...strange })) dropped += 1;
  }
  return dropped;
}

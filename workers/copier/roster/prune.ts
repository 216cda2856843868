/** Forgets who left long ago, shard by shard, once no job can name the roster as it was with them. */
import type { ChannelId } from "../../../domain/ids.ts";
import { ANSWER_TTL_MS } from "../../../redis/accept.ts";
import { HomeKeys } from "../../../redis/keys.ts";
import { prune } from "./prune-script.ts";
import { parseRoute } from "../../../redis/route.ts";
import { run } from "../../runtime/redis.ts";
import type { Targets } from "./projector.ts";

/** Answers how many rows went. */
export async function pruneRosters(
  { home, regions, partitions }: Targets,
  channel: ChannelId,
  keptMs = ANSWER_TTL_MS,
): Promise<number> {
  const key = new HomeKeys(partitions.ofChannel(channel)).routes(channel);
  const stored = (await home.send("HGETALL", [key])) as Record<string, string>;
  let pruned = 0;
  for (const [field, value] of Object.entries(stored)) {
    const { region, broker, partition, shard, version: routed } = parseRoute(field, value);
    const redis = regions.get(region);
    if (!redis) continue;
    pruned += await run(redis, prune, { partition, broker, channel, shard, routed, keptMs });
  }
  return pruned;
}

/** Whether all of the desk's audit has left its streams for the audit store. */
import type { PartitionMap } from "../../../redis/keys.ts";
import { AUDIT_GROUPS } from "../../desk/stored/audit.ts";
import { DeskKeys } from "../../desk/stored/keys.ts";
import { asText, defineScript } from "../../../redis/script.ts";
import { run, type Redis } from "../../runtime/redis.ts";

const POLL_MS = 5;
const PATIENCE_MS = 120_000;

const lua = `
if redis.call('EXISTS', audit) == 0 then return 'yes' end
local stream = redis.call('XINFO', 'STREAM', audit)
for i = 1, #stream, 2 do stream[stream[i]] = stream[i + 1] end
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', audit)) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  if group.name == '${AUDIT_GROUPS[0]}' and group.pending == 0 and group['last-delivered-id'] == stream['last-generated-id'] then return 'yes' end
end
return 'no'
`;

const isDrained = defineScript<{ readonly partition: number }, boolean>({
  name: "is-drained",
  lua,
  keys: { audit: ({ partition }) => new DeskKeys(partition).audit },
  reply: (raw) => asText(raw) === "yes",
});

/** Returns false if the recorder does not finish within two minutes. */
export async function auditDrained(redis: Redis, partitions: PartitionMap): Promise<boolean> {
  const giveUpAtMs = performance.now() + PATIENCE_MS;
  for (const partition of partitions.all()) {
    while (!(await run(redis, isDrained, { partition }))) {
      if (performance.now() > giveUpAtMs) return false;
      await Bun.sleep(POLL_MS);
    }
  }
  return true;
}

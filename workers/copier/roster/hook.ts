/** A hook in Redis, where the edge reads it: JSON with its version. */
import type { Hook } from "../../../domain/copier/hook.ts";
import { asInteger, defineScript } from "../../../redis/script.ts";

export interface ProjectHookArgs {
  readonly key: string;
  readonly hook: Hook;
  readonly version: number;
}

const projectHookLua = `
local known = redis.call('GET', key)
if known and (cjson.decode(known).version or 0) >= tonumber(version) then return 0 end
redis.call('SET', key, hook)
return 1
`;

/** Replaces a hook if the new one is newer. Stores the hook and its `version`. */
export const projectHook = defineScript<ProjectHookArgs, boolean>({
  name: "project-hook",
  lua: projectHookLua,
  keys: { key: ({ key }) => key },
  args: {
    version: ({ version }) => version,
    hook: ({ hook, version }) => JSON.stringify({ ...hook, version }),
  },
  reply: (raw) => asInteger(raw) === 1,
});

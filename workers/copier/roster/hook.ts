/** A hook in Redis, where the edge reads it: the hook as JSON, with its version. */
import type { Hook } from "../../../domain/copier/hook.ts";
import { asInteger, type Script } from "../../../redis/script.ts";

export interface ProjectHookArgs {
  readonly key: string;
  readonly hook: Hook;
  readonly version: number;
}

const projectHookLua = `
local known = redis.call('GET', KEYS[1])
if known and (cjson.decode(known).version or 0) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
`;

/** Replaces a hook, if newer; what is stored is the hook and its `version`. */
export const projectHook: Script<ProjectHookArgs, boolean> = {
  name: "project-hook",
  lua: projectHookLua,
  keys: ({ key }) => [key],
  args: ({ hook, version }) => [String(version), JSON.stringify({ ...hook, version })],
  reply: (raw) => asInteger(raw) === 1,
};

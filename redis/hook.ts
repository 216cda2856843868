/** A hook: the address at which a sender of webhooks reaches one channel, in one person's name. */
import type { ChannelId, HookId, PersonId } from "../domain/ids.ts";
import { asInteger, type Script } from "./script.ts";

export type Hook = {
  readonly id: HookId;
  readonly channel: ChannelId;
  readonly sender: PersonId;
} & (
  | {
      /** The secret is the last part of the URL, `/hooks/<id>.<secret>`; only its hash is kept. */
      readonly kind: "tradingview";
      /** Hex SHA-256 of the secret. */
      readonly secretSha256: string;
    }
  | {
      /** Standard Webhooks: the body is signed with a shared secret, kept as a JWE that only the edge opens. */
      readonly kind: "standard";
      readonly sealedSecret: string;
    }
);

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

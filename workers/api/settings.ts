/**
 * The settings for all copies below a scope, and who may change them: a provider for all of their
 * channels or for one, a follower for all of their subscriptions. The operator sets those of the
 * platform (`npm run settings`). Everyone may read the settings above a channel's followers; only
 * the follower may read their own.
 */
import { nameOf } from "../../http/place.ts";
import { getLogger } from "@logtape/logtape";
import * as v from "valibot";
import type { PersonId } from "../../domain/ids.ts";
import { failure, type Failure } from "../../domain/result.ts";
import {
  parseSettingsScope,
  SETTINGS_SCOPE_PATTERN,
  type SettingsScope,
} from "../../domain/copier/setting.ts";
import { json } from "../../http/body.ts";
import { count } from "../../http/field.ts";
import { reply, type Reply } from "../../http/operation.ts";
import type { Records, SettingsRecord } from "../records/port.ts";
import { noSettings, recordSettings } from "../copier/roster/settings.ts";
import type { Api, RecordsService } from "./api.ts";
import { Plan, SettingsBody } from "./plan.ts";

const Settings = v.object({ scope: v.string(), plan: Plan, paused: v.boolean(), version: count });
const SCOPE = { pattern: SETTINGS_SCOPE_PATTERN, unknown: "SETTINGS_UNKNOWN" } as const;

export function serveSettings(service: RecordsService, api: Api): void {
  const { records } = api;

  service.serve({
    method: "GET",
    path: "/v1/settings/:scope",
    operationId: "readSettings",
    summary: "The settings for all copies below a scope",
    permission: "records:read",
    params: { scope: SCOPE },
    versioned: true,
    answers: { 200: { description: "Version 0 if nothing was ever set.", body: Settings } },
    problems: [],
    async handle({ params, caller }) {
      const refused = await refusal(records, params.scope, caller.person);
      if (refused?.code === "SETTINGS_UNKNOWN") return refused;
      const scope = params.scope as SettingsScope;
      return shown((await records.settings.get(scope)) ?? noSettings(scope));
    },
  });

  service.serve({
    method: "PUT",
    path: "/v1/settings/:scope",
    operationId: "putSettings",
    summary: "Set the plan for all copies below a scope, or pause them",
    permission: "records:write",
    params: { scope: SCOPE },
    body: json(SettingsBody),
    versioned: true,
    answers: { 200: { description: "The settings are as requested.", body: Settings } },
    problems: ["SETTINGS_FORBIDDEN", "CHANGES_LIMITED"],
    async handle({ params, body, caller, precondition }) {
      const refused = await refusal(records, params.scope, caller.person);
      if (refused) return refused;
      if (!api.mayChange(caller.person)) return failure("CHANGES_LIMITED");
      const scope = params.scope as SettingsScope;
      const next = await recordSettings(records, scope, body, precondition);
      if (!next.ok) return next;
      if (next.value.outbox) await project(api, next.value);
      return shown(next.value);
    },
  });
}

/** Why a person may not change a scope: `SETTINGS_FORBIDDEN` if they may still read it. */
async function refusal(
  { channels }: Records,
  scope: string,
  person: PersonId,
): Promise<Failure | undefined> {
  const { kind, id } = parseSettingsScope(scope) ?? {};
  if (kind === undefined || id === undefined) return failure("SETTINGS_UNKNOWN");
  if (kind === "follower") return id === person ? undefined : failure("SETTINGS_UNKNOWN");
  if (kind === "platform") return failure("SETTINGS_FORBIDDEN");
  const [channel] =
    kind === "channel"
      ? await channels.find({ where: { _id: id }, limit: 1 })
      : await channels.find({ where: { provider: id }, limit: 1 });
  if (!channel) return failure("SETTINGS_UNKNOWN");
  return channel.provider === person ? undefined : failure("SETTINGS_FORBIDDEN");
}

async function project({ projectSettings }: Api, changed: SettingsRecord): Promise<void> {
  try {
    await projectSettings(changed);
  } catch (error) {
    getLogger(["fanfare", "records"]).warn(
      "settings could not be projected yet; the outbox has them: {error}",
      { error: nameOf(error) },
    );
  }
}

function shown({ _id, plan, paused, version }: SettingsRecord): Reply {
  return reply({ scope: _id, plan, paused, version }, { version });
}

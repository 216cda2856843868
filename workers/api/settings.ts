/**
 * The settings for all copies below a scope, and who may change them: a provider for all of their
 * channels or for one, a follower for all of their subscriptions, an administrator for all. Everyone
 * may read the settings above a channel's followers; only the follower may read their own.
 */
import { nameOf } from "../../http/place.ts";
import { getLogger } from "@logtape/logtape";
import * as v from "valibot";
import { failure } from "../../domain/result.ts";
import { SETTINGS_SCOPE_PATTERN, type SettingsScope } from "../../domain/copier/setting.ts";
import { json } from "../../http/body.ts";
import { count } from "../../http/field.ts";
import { reply, type Reply } from "../../http/operation.ts";
import type { SettingsRecord } from "../records/port.ts";
import { noSettings, recordSettings } from "../copier/roster/settings.ts";
import { accessTo } from "./access.ts";
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
      const access = await accessTo(records, params.scope, caller);
      if (access === "unknown") return failure("SETTINGS_UNKNOWN");
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
      const access = await accessTo(records, params.scope, caller);
      if (access === "unknown") return failure("SETTINGS_UNKNOWN");
      if (access === "read") return failure("SETTINGS_FORBIDDEN");
      if (!api.mayChange(caller.person)) return failure("CHANGES_LIMITED");
      const scope = params.scope as SettingsScope;
      const next = await recordSettings(records, scope, body, precondition);
      if (!next.ok) return next;
      if (next.value.outbox) await project(api, next.value);
      return shown(next.value);
    },
  });
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

/**
 * What holds for all copies below a scope, and who may say so: a provider for
 * all of their channels or for one, a follower for all of their subscriptions.
 * The platform's are set by whoever runs it (`npm run settings`). Anyone may
 * read what stands above a channel's followers; a follower's are their own.
 */
import { nameOf } from "../runtime/error-name.ts";
import { getLogger } from "@logtape/logtape";
import type { Hono } from "hono";
import type { PersonId } from "../../domain/ids.ts";
import { failure, type Failure } from "../../domain/result.ts";
import {
  parseSettingsScope,
  SETTINGS_SCOPE_PATTERN,
  type SettingsScope,
} from "../../domain/copier/setting.ts";
import type { Records, SettingsRecord } from "../records/port.ts";
import { noSettings, recordSettings } from "../copier/roster/settings.ts";
import type { Api } from "./api.ts";
import { reply, serve } from "./operation.ts";
import { SettingsAnswer, SettingsBody } from "./schemas.ts";

export function serveSettings(app: Hono, api: Api): void {
  const { records, tokens } = api;

  serve(
    app,
    tokens,
    "records:read",
    {
      method: "GET",
      path: "/v1/settings/:id",
      operationId: "readSettings",
      summary: "What holds for all copies below a scope",
      idPattern: SETTINGS_SCOPE_PATTERN,
      answers: { 200: ["As they stand; version 0 where nothing was ever set.", SettingsAnswer] },
      problems: ["SETTINGS_UNKNOWN"],
    },
    async ({ id }, { person }) => {
      const refused = await refusal(records, id, person);
      if (refused?.code === "SETTINGS_UNKNOWN") return refused;
      const scope = id as SettingsScope;
      return reply(shown((await records.settings.get(scope)) ?? noSettings(scope)));
    },
  );

  serve(
    app,
    tokens,
    "records:write",
    {
      method: "PUT",
      path: "/v1/settings/:id",
      operationId: "putSettings",
      summary: "Set the plan for all copies below a scope, or pause them",
      idPattern: SETTINGS_SCOPE_PATTERN,
      body: SettingsBody,
      answers: { 200: ["They stand as asked.", SettingsAnswer] },
      problems: ["SETTINGS_UNKNOWN", "SETTINGS_FORBIDDEN"],
    },
    async ({ id, body }, { person }) => {
      const refused = await refusal(records, id, person);
      if (refused) return refused;
      const next = await recordSettings(records, id as SettingsScope, body);
      if (!next) return failure("RECORDS_UNAVAILABLE");
      if (next.outbox) await project(api, next);
      return reply(shown(next));
    },
  );
}

/** Why a person may not change a scope: `SETTINGS_FORBIDDEN` where they may still read it. */
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

function shown({ _id, plan, paused, version }: SettingsRecord): object {
  return { scope: _id, plan, paused, version };
}

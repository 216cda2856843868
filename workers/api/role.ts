/**
 * Serves the records API, and keeps Redis in agreement with the records: all of
 * it at the start, each change as it comes.
 */
import { getLogger } from "@logtape/logtape";
import { armCrashPoint } from "../runtime/crash-point.ts";
import { required } from "../runtime/env.ts";
import type { Role } from "../runtime/role.ts";
import { openRecords } from "../records/open.ts";
import { checkRoster } from "../copier/roster/check.ts";
import { followOutbox, projectNow, projectSettingsNow } from "../copier/roster/outbox.ts";
import { connectTargets } from "../copier/roster/projector.ts";
import { followRosterRequests } from "../copier/roster/requested.ts";
import { SYSTEM_CLOCK } from "../runtime/clock.ts";
import { createApp } from "./app.ts";
import { MAX_BODY_BYTES } from "./request.ts";
import { createSignIn } from "./sign-in.ts";
import { createTokens } from "./tokens.ts";

export const role: Role = async (env, stop, ready) => {
  const tokens = await createTokens(required(env, "FANFARE_ISSUER_KEY"), Date.now);
  const records = await openRecords(env);
  const targets = connectTargets(env);
  await checkRoster(records, targets);
  armCrashPoint(env.FANFARE_CRASH_AT);

  const app = createApp({
    records,
    tokens,
    signIn: await createSignIn(records, Date.now),
    project: (changed) => projectNow(records, targets, changed),
    projectSettings: (changed) => projectSettingsNow(records, targets, changed),
    clock: Date.now,
  });
  const server = Bun.serve({
    hostname: env.FANFARE_HOST,
    port: env.FANFARE_RECORDS_PORT,
    fetch: app.fetch,
    // Above our own limit, so that what is a little too large still gets our answer.
    maxRequestBodySize: 4 * MAX_BODY_BYTES,
  });
  getLogger(["fanfare", "records"]).info("the records API listens on port {port}", {
    port: server.port,
  });
  ready();
  await Promise.all([
    followOutbox(records, targets, stop),
    followRosterRequests(records, targets, SYSTEM_CLOCK, stop),
  ]);
  await server.stop();
  targets.close();
  await records.close();
};

/**
 * Serves the records API, and keeps Redis in agreement with the records: all of
 * it at the start, each change as it comes.
 */
import { getLogger } from "@logtape/logtape";
import { MAX_BODY_BYTES } from "../../http/body.ts";
import { armCrashPoint } from "../runtime/crash-point.ts";
import { required } from "../runtime/env.ts";
import type { Role } from "../runtime/role.ts";
import { fillLiveKeys } from "../records/live-key.ts";
import { openRecords } from "../records/open.ts";
import { checkRoster } from "../copier/roster/check.ts";
import { followOutbox, projectNow, projectSettingsNow } from "../copier/roster/outbox.ts";
import { connectTargets } from "../copier/roster/projector.ts";
import { followRosterRequests } from "../copier/roster/requested.ts";
import { SYSTEM_CLOCK } from "../runtime/clock.ts";
import { createApp } from "./app.ts";
import { createRate } from "./rate.ts";
import { createSignIn } from "./sign-in.ts";
import { createTokens } from "./tokens.ts";

/** Each change is projected to Redis and recorded with a version of its own. */
const CHANGES = { max: 60, windowMs: 60_000, maxNames: 100_000 };

export const role: Role = async (env, stop, ready) => {
  const tokens = await createTokens(required(env, "FANFARE_ISSUER_KEY"), Date.now);
  const records = await openRecords(env);
  const targets = connectTargets(env);
  const ended = await fillLiveKeys(records);
  if (ended > 0) {
    getLogger(["fanfare", "records"]).warn(
      "{ended} subscriptions ended: their account had another one to the same channel",
      { ended },
    );
  }
  await checkRoster(records, targets);
  armCrashPoint(env.FANFARE_CRASH_AT);

  const changes = createRate(CHANGES, Date.now);
  const app = createApp({
    records,
    tokens,
    signIn: await createSignIn(records, Date.now),
    project: (changed) => projectNow(records, targets, changed),
    projectSettings: (changed) => projectSettingsNow(records, targets, changed),
    mayChange: (person) => changes.take(person),
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

/**
 * Serves the records API, and keeps Redis in agreement with the records: everything at the start,
 * then each change.
 */
import { MAX_BODY_BYTES } from "../../http/body.ts";
import type { Role } from "../runtime/role.ts";
import { fillLiveKeys } from "../records/live-key.ts";
import { openRecords } from "../records/open.ts";
import { fillAll, followFills } from "../copier/roster/fill.ts";
import { targetsOf } from "../copier/roster/projector.ts";
import { followOutbox, projectNow, projectSettingsNow } from "../copier/roster/outbox.ts";
import { followRosterRequests } from "../copier/roster/requested.ts";
import { changeStop, followStops } from "../copier/roster/stops.ts";
import { createApp } from "./app.ts";
import { RecordsEnv } from "./env.ts";
import { createRate } from "./rate.ts";
import { createSignIn } from "./sign-in.ts";
import { createTokens } from "./tokens.ts";

/** Each change is projected to Redis and recorded with a version of its own. */
const CHANGES = { max: 60, windowMs: 60_000, maxNames: 100_000 };

export const role: Role<typeof RecordsEnv> = {
  settings: RecordsEnv,
  crashPointsFrom: "ready",
  async run({ settings, connections, clock, log, stop, ready }) {
    const { nowMs } = clock;
    const tokens = await createTokens(settings.FANFARE_ISSUER_KEY, nowMs);
    const records = await openRecords(settings);
    const targets = targetsOf(connections);
    // Begun before the roster is checked, which may take long or wait for a region.
    const stopsFollowed = followStops(records, targets, clock, stop);
    const ended = await fillLiveKeys(records);
    if (ended > 0) {
      log.warn("{ended} subscriptions ended: their account had another one to the same channel", {
        ended,
      });
    }
    // Where another process fills, or it was emptied once more, the follower below goes on.
    await fillAll(records, targets);
    const changes = createRate(CHANGES, nowMs);
    const stopChanges = createRate(CHANGES, nowMs);

    const app = createApp({
      records,
      tokens,
      signIn: await createSignIn(records, nowMs),
      project: (changed) => projectNow(records, targets, changed),
      projectSettings: (changed) => projectSettingsNow(records, targets, changed),
      changeStop: (...change) => changeStop(records, targets, ...change),
      mayChange: (person) => changes.take(person),
      mayStop: (person) => stopChanges.take(person),
      clock: nowMs,
    });
    const server = Bun.serve({
      hostname: settings.FANFARE_HOST,
      port: settings.FANFARE_RECORDS_PORT,
      fetch: app.fetch,
      // Above our own limit, so that a body that is a little too large still gets our answer.
      maxRequestBodySize: 4 * MAX_BODY_BYTES,
    });
    log.info("the records API listens on port {port}", { port: server.port });
    ready();
    await Promise.all([
      stopsFollowed,
      followOutbox(records, targets, stop),
      followRosterRequests(records, targets, clock, stop),
      followFills(records, targets, clock, stop),
    ]);
    await server.stop();
    await records.close();
  },
};

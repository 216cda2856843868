/**
 * Serves the records API, and keeps Redis in agreement with the records: all of
 * it at the start, each change as it comes.
 */
import type { Role } from "../runtime/role.ts";
import { openRecords } from "../records/open.ts";
import { checkRoster } from "../copier/roster/check.ts";
import { targetsOf } from "../copier/roster/projector.ts";
import { followOutbox, projectNow, projectSettingsNow } from "../copier/roster/outbox.ts";
import { createApp } from "./app.ts";
import { RecordsEnv } from "./env.ts";
import { MAX_BODY_BYTES } from "./request.ts";
import { createSignIn } from "./sign-in.ts";
import { createTokens } from "./tokens.ts";

export const role: Role<typeof RecordsEnv> = {
  settings: RecordsEnv,
  crashPointsFrom: "ready",
  async run({ settings, connections, clock: { nowMs }, log, stop, ready }) {
    const tokens = await createTokens(settings.FANFARE_ISSUER_KEY, nowMs);
    const records = await openRecords(settings);
    const targets = targetsOf(connections);
    await checkRoster(records, targets);

    const app = createApp({
      records,
      tokens,
      signIn: await createSignIn(records, nowMs),
      project: (changed) => projectNow(records, targets, changed),
      projectSettings: (changed) => projectSettingsNow(records, targets, changed),
      clock: nowMs,
    });
    const server = Bun.serve({
      hostname: settings.FANFARE_HOST,
      port: settings.FANFARE_RECORDS_PORT,
      fetch: app.fetch,
      // Above our own limit, so that what is a little too large still gets our answer.
      maxRequestBodySize: 4 * MAX_BODY_BYTES,
    });
    log.info("the records API listens on port {port}", { port: server.port });
    ready();
    await followOutbox(records, targets, stop);
    await server.stop();
    await records.close();
  },
};

/** Compares the last minutes each minute, and logs each difference once. It repairs nothing. */
import { nameOf } from "../../../http/place.ts";
import type { Role } from "../../runtime/role.ts";
import { openSources } from "./connect.ts";
import type { Difference } from "./differences.ts";
import { ReconcileEnv } from "./env.ts";
import { reconcile } from "./reconcile.ts";
import { byKind } from "./report.ts";

const EVERY_MS = 60_000;
/** Each signal is in several windows, so that late outcomes and lasting unknowns are seen too. */
const WINDOW_MS = 5 * EVERY_MS;
const GRACE_MS = 10_000;
const UNKNOWN_AFTER_MS = 60_000;
/** How many differences of one kind get a log line each. */
const LOGGED = 20;

export const role: Role<typeof ReconcileEnv> = {
  settings: ReconcileEnv,
  async run(context) {
    const { clock, log, stop, ready } = context;
    const sources = await openSources(context);
    let named = new Set<string>();
    // Waits for a Redis that is away as long as needed, but not after a stop.
    const stopped = new Promise<undefined>((resolve) => {
      stop.addEventListener("abort", () => {
        resolve(undefined);
      });
    });
    ready();
    while (!stop.aborted) {
      try {
        const sinceMs = clock.nowMs() - WINDOW_MS;
        const scope = { sinceMs, graceMs: GRACE_MS, unknownAfterMs: UNKNOWN_AFTER_MS };
        const found = await Promise.race([reconcile(sources, scope), stopped]);
        if (!found) break;
        const { signals, followers, differences } = found;
        log.info("{signals} signals, {followers} followers compared: {differences} differences", {
          signals,
          followers,
          differences: differences.length,
        });
        for (const [kind, some] of byKind(differences)) {
          const fresh = some.filter((each) => !named.has(formatDifference(each)));
          for (const each of fresh.slice(0, LOGGED)) log.error("{kind}: {detail}", { ...each });
          if (fresh.length > LOGGED) {
            log.error("{kind}: {more} more", { kind, more: fresh.length - LOGGED });
          }
        }
        named = new Set(differences.map(formatDifference));
      } catch (error) {
        log.warn("the data to compare cannot be read, trying again: {error}", {
          error: nameOf(error),
        });
      }
      await pause(stop);
    }
    await sources.records.close();
  },
};

function formatDifference({ kind, channel, signal, subscription, detail }: Difference): string {
  return [kind, channel, signal, subscription, detail].join(" ");
}

/** Ends early when stopped. */
async function pause(stop: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    if (stop.aborted) {
      resolve();
      return;
    }
    const timer = setTimeout(resolve, EVERY_MS);
    stop.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

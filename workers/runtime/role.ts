/** A role, and the context that it gets. */
import type { Logger } from "@logtape/logtape";
import type * as v from "valibot";
import type { Clock } from "./clock.ts";
import type { Connections } from "./connections.ts";
import type { SettingsSchema } from "./env.ts";
import type { Metrics } from "./metrics.ts";

/** For commands, too. */
export interface Context<Settings> {
  readonly settings: Settings;
  /** Opened when first used, and closed after the end. */
  readonly connections: Connections;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface RoleContext<Settings> extends Context<Settings> {
  readonly metrics: Metrics;
  /** A random number from 0 to below 1. */
  random(): number;
  readonly stop: AbortSignal;
  /** Called once it serves. */
  ready(): void;
}

export interface Role<Schema extends SettingsSchema> {
  readonly settings: Schema;
  /**
   * A role that checks everything at its start passes crash points there which tests do not intend.
   */
  readonly crashPointsFrom?: "ready";
  /** Runs until the signal aborts, and then resolves once none of its work is in progress. */
  run(context: RoleContext<v.InferOutput<Schema>>): Promise<void>;
}

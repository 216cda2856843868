/** What a round leaves to be judged, and what a judge finds. */
import type { SubscriptionId } from "../../domain/ids.ts";
import type { BookLine, SaleLine } from "../fake-broker/book.ts";
import type { Closing } from "./closings.ts";
import type { Plan } from "./plan.ts";
import type { Told } from "./told.ts";
import type { Hold } from "./world.ts";

export interface Traded {
  readonly plan: Plan;
  readonly followers: readonly SubscriptionId[];
  readonly told: readonly Told[];
  readonly closings: readonly Closing[];
  readonly book: readonly BookLine[];
  readonly sales: readonly SaleLine[];
  readonly holds: readonly Hold[];
}

export interface Verdict {
  /** What must never be. */
  readonly faults: readonly string[];
  /** What may be in a round such as this, each by its name. */
  readonly exceptions: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
}

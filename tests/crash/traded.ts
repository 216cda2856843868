/** The data of a round that are judged, and the findings. */
import type { SubscriptionId } from "../../domain/ids.ts";
import type { BookLine, SaleLine } from "../fake-broker/book.ts";
import type { Closing } from "./closings.ts";
import type { Plan } from "./plan.ts";
import type { Reported } from "./reported.ts";
import type { Hold } from "./world.ts";

export interface Traded {
  readonly plan: Plan;
  readonly followers: readonly SubscriptionId[];
  readonly reported: readonly Reported[];
  readonly closings: readonly Closing[];
  readonly book: readonly BookLine[];
  readonly sales: readonly SaleLine[];
  readonly holds: readonly Hold[];
}

export interface Verdict {
  /** Faults: these must never happen. */
  readonly faults: readonly string[];
  /** Exceptions that may happen in such a round, by name. */
  readonly exceptions: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
}

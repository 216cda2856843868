/**
 * What may leave for the broker at this moment: what no halt or drain stops, as
 * they are read now (P4), if the broker's rate has room for it, and its time
 * has not passed (P3). It is asked right before every send, the first and each
 * later one, of opens and of closes.
 */
import { stopReason, type Stops } from "../../../domain/copier/decide.ts";
import type { PersonId } from "../../../domain/ids.ts";
import type { Broker } from "../brokers/port.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Allowance } from "./allowance.ts";
import type { HaltCache } from "./halt-cache.ts";
import { readStops, type StopScopes } from "./stops.ts";

export interface SendParts {
  readonly broker: Broker;
  readonly halts: HaltCache;
  /** Absent where the broker sets no rate. */
  readonly allowance?: Allowance | undefined;
  readonly partition: number;
  readonly clock: Clock;
}

export interface Leaving extends StopScopes {
  /** Nothing of it leaves after this. */
  readonly untilMs: number;
  /** The script that wrote the intents has just compared the halts: they are not read again. */
  readonly areStopsCompared?: boolean;
}

export interface Cleared<Each> {
  /** These may leave, together and now. */
  readonly leave: readonly Each[];
  /** These may not: they are stopped, by `stops`. */
  readonly stopped: readonly Each[];
  readonly stops: Stops | undefined;
  /** After how long the broker's rate may have room for what is not stopped. */
  readonly waitMs: number;
}

/** Throws where Redis does not answer: then it is not known that anything may leave. */
export async function mayLeave<Each extends { readonly follower: PersonId | undefined }>(
  { halts, allowance, partition, clock }: SendParts,
  leaving: Leaving,
  orders: readonly Each[],
): Promise<Cleared<Each>> {
  const stops =
    leaving.areStopsCompared === true
      ? undefined
      : readStops(await halts.of(partition, true), leaving);
  let leave = orders;
  let stopped: readonly Each[] = [];
  if (stops) {
    stopped = orders.filter(({ follower }) => stopReason(stops, follower));
    leave = orders.filter(({ follower }) => !stopReason(stops, follower));
  }
  const waitMs = leave.length === 0 ? 0 : ((await allowance?.take(leave.length)) ?? 0);
  // Looking took time.
  if (clock.nowMs() > leaving.untilMs) return { leave: [], stopped, stops, waitMs: 0 };
  return { leave: waitMs > 0 ? [] : leave, stopped, stops, waitMs };
}

/**
 * Decides what may be sent to the broker now: orders that no current halt or drain
 * stops (P4), if the broker's rate has room and their time has not passed (P3). It
 * is called right before every send, first or repeated, of opens and of closes.
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
  /** Absent if the broker has no rate. */
  readonly allowance?: Allowance | undefined;
  readonly partition: number;
  readonly clock: Clock;
}

export interface Leaving extends StopScopes {
  /** Nothing of it is sent after this. */
  readonly untilMs: number;
  /** The script that wrote the intents has just compared the halts, so they are not read again. */
  readonly areStopsCompared?: boolean;
}

export interface Cleared<Each> {
  /** These may be sent, together and now. */
  readonly leave: readonly Each[];
  /** These may not be sent: `stops` stop them. */
  readonly stopped: readonly Each[];
  readonly stops: Stops | undefined;
  /** After how long the broker's rate may have room for those that are not stopped. */
  readonly waitMs: number;
}

/** Throws if Redis does not answer: then it is not known whether anything may be sent. */
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
  // The checks took time.
  if (clock.nowMs() > leaving.untilMs) return { leave: [], stopped, stops, waitMs: 0 };
  return { leave: waitMs > 0 ? [] : leave, stopped, stops, waitMs };
}

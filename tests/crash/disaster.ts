/** The disasters of a round, and which of them this machine can play. */
import { enqueueClose } from "../../redis/enqueue-close.ts";
import { enqueue } from "../../redis/enqueue.ts";
import { moveToDeadLetters, trim } from "../../redis/streams.ts";
import { link } from "../../workers/copier/dispatch/undispatched.ts";
import { settleUsage } from "../../workers/copier/stored/caps.ts";
import { moveClosing } from "../../workers/copier/stored/closing.ts";
import { intend } from "../../workers/copier/stored/intents.ts";
import { answer, report } from "../../workers/copier/stored/outcomes.ts";
import { CRASH_POINTS, type CrashPoint } from "../../workers/runtime/crash-point.ts";
import { canNoteSyncs } from "../support/synced/build.ts";
import type { TestMongo } from "../support/mongo.ts";
import { hasToxiproxy, type Toxic } from "../support/toxiproxy.ts";

export const ROLES = ["dispatch", "broker", "recorder"] as const;
export type RoleName = (typeof ROLES)[number];

/** How long after the signals a disaster begins, and how long it lasts. */
interface Period {
  readonly afterMs: number;
  readonly forMs: number;
}

export type Disaster =
  /** A process kills itself at a point, the n-th time that it passes it, and is started again. */
  | {
      readonly kind: "crash";
      readonly role: RoleName;
      readonly at: CrashPoint;
      readonly nth: number;
    }
  /** The worker is killed after the broker has booked and before it answers. */
  | { readonly kind: "kill unanswered" }
  | { readonly kind: "kill worker"; readonly afterMs: number }
  /**
   * The worker is suspended between its last check and the step; another takes its jobs; then it
   * continues.
   */
  | {
      readonly kind: "halt";
      readonly at:
        | "before-send"
        | "before:report"
        | "before:answer"
        | "before-close-send"
        | "before:move-closing";
      readonly nth: number;
      readonly forMs: number;
    }
  | ({ readonly kind: "dead broker" } & Period)
  /**
   * The settings above the plans of a partition cannot be parsed any more: each decision there
   * throws, always.
   */
  | { readonly kind: "spoil"; readonly partition: number; readonly afterMs: number }
  | { readonly kind: "kill Redis"; readonly afterMs: number }
  | ({ readonly kind: "pause Redis" } & Period)
  /** Killed, and this share of the unsynced data is lost. */
  | { readonly kind: "cut Redis"; readonly afterMs: number; readonly share: number }
  /** Killed after the broker has booked, and everything written since the acceptances is lost. */
  | { readonly kind: "forget the sending" }
  | ({ readonly kind: "cut MongoDB" | "pause MongoDB" } & Period)
  | { readonly kind: "kill MongoDB"; readonly afterMs: number }
  | ({
      readonly kind: "network";
      readonly to: "redis" | "broker" | "records";
      readonly toxic: Toxic;
    } & Period)
  /**
   * Of a cluster: the primary of the signals, or of a region's partition, is killed for good. One
   * that is `ahead` has not replicated the last signal.
   */
  | {
      readonly kind: "kill primary";
      readonly of: "home" | number;
      readonly ahead: boolean;
      readonly afterMs: number;
    }
  | { readonly kind: "move a partition"; readonly partition: number; readonly afterMs: number };

/** The points on both sides of scripts. */
export function aroundScripts(...scripts: readonly { readonly name: string }[]): CrashPoint[] {
  return scripts.flatMap(({ name }) => [`before:${name}`, `after:${name}`] as const);
}

const CLOSING_POINTS: readonly CrashPoint[] = [
  ...CRASH_POINTS.closing,
  ...aroundScripts(moveClosing),
];

/** Every crash point of these roles' own steps. */
const ROLE_POINTS: Readonly<Record<RoleName, readonly CrashPoint[]>> = {
  dispatch: [...CRASH_POINTS.dispatch, ...aroundScripts(enqueue, enqueueClose, link)],
  broker: [
    ...CRASH_POINTS.broker,
    ...aroundScripts(intend, report, answer, settleUsage),
    ...CLOSING_POINTS,
  ],
  recorder: CRASH_POINTS.recorder,
};

/** These, and the points of the common read loop. */
export const POINTS: readonly (readonly [RoleName, CrashPoint])[] = [
  ...ROLES.flatMap((role) => ROLE_POINTS[role].map((at) => [role, at] as const)),
  ...[...CRASH_POINTS.consume, ...aroundScripts(moveToDeadLetters, trim)].map(
    (at): [RoleName, CrashPoint] => {
      // The worker's own scripts acknowledge entries; the recorder leaves that to the loop.
      return [at.endsWith("-acknowledge") ? "recorder" : "broker", at];
    },
  ),
];

/** Whether it strikes a close: then something must be closed before it. */
export function strikesCloses(disaster: Disaster): boolean {
  return (
    "at" in disaster && [...CLOSING_POINTS, ...aroundScripts(enqueueClose)].includes(disaster.at)
  );
}

/** The equipment of a machine. */
export interface Equipment {
  readonly toxiproxy: boolean;
  readonly noteSyncs: boolean;
  /** Absent if the records are SQLite. */
  readonly mongo: TestMongo | undefined;
}

export function equipmentWith(mongo: TestMongo | undefined): Equipment {
  return { toxiproxy: hasToxiproxy(), noteSyncs: canNoteSyncs(), mongo };
}

/** What a round does, drawn from its seed alone: the same seed and round plan the same faults. */
import type { CrashPoint } from "../../workers/crash-point.ts";
import type { Capabilities } from "../../workers/brokers/port.ts";
import { randomOf, type Faults } from "../fake-broker/settings.ts";
import type { Toxic } from "../support/toxiproxy.ts";

export type Disaster =
  /** A process kills itself at a point, the n-th time that it passes it, and is started again. */
  | { readonly kind: "crash"; readonly at: CrashPoint; readonly nth: number }
  /** The worker is killed once the broker has booked and before it answers. */
  | { readonly kind: "kill unanswered" }
  | { readonly kind: "kill worker"; readonly afterMs: number }
  /** The worker halts between its last check and its send; another takes its jobs; then it goes on. */
  | { readonly kind: "halt before send"; readonly nth: number; readonly forMs: number }
  | { readonly kind: "kill Redis"; readonly afterMs: number }
  | { readonly kind: "pause Redis"; readonly afterMs: number; readonly forMs: number }
  /** Killed, and this share of what it wrote since the first signal is gone. */
  | { readonly kind: "cut Redis"; readonly afterMs: number; readonly share: number }
  /** Killed once the broker has booked, and all that was written since the acceptances is gone. */
  | { readonly kind: "forget the sending" }
  | {
      readonly kind: "network";
      readonly to: "redis" | "broker";
      readonly toxic: Toxic;
      readonly afterMs: number;
      readonly forMs: number;
    };

export interface Plan {
  readonly round: number;
  readonly broker: Omit<Capabilities, "inFlightMs">;
  readonly faults: Partial<Faults>;
  readonly durationSeconds: number;
  readonly disaster: Disaster;
}

const WORKER_POINTS = [
  "after-decide",
  "after-intend",
  "before-send",
  "after-answer",
  "after-report",
  "before-question",
  "after-question",
] as const;
const DISPATCH_POINTS = ["before-enqueue", "after-enqueue"] as const;
export const POINTS: readonly CrashPoint[] = [...DISPATCH_POINTS, ...WORKER_POINTS];

/** Without the network, where there is no toxiproxy. */
export function planOf(seed: number, round: number, network: boolean): Plan {
  const random = randomOf(Math.imul(seed, 1_000_003) + round);
  const pick = <T>(items: readonly T[]): T => {
    const item = items[Math.floor(random() * items.length)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  };
  const upTo = (most: number): number => Math.floor(random() * most);
  const broker = {
    deduplicates: pick(["none", "open-orders", "ten-minutes", "account"] as const),
    lookUp: pick(["authoritative", "hint"] as const),
    validUntil: pick(["enforced", "ignored"] as const),
  };
  const faults = pick<Partial<Faults>>([
    {},
    { beforeMs: 300 },
    { afterMs: 300 },
    { busy: 0.5, retryAfterMs: 30 },
    { resetBefore: 0.3, resetAfter: 0.3 },
    { silent: 0.3, afterMs: 100 },
    { busy: 0.2, resetBefore: 0.2, resetAfter: 0.2, beforeMs: 50, afterMs: 50 },
  ]);
  const durationSeconds = pick([1, 60]);
  const afterMs = upTo(60);
  const nth = 1 + upTo(4);
  const toxic = pick<Toxic>([
    { kind: "cut" },
    { kind: "reset" },
    { kind: "silent" },
    { kind: "slow", delayMs: 300 },
  ]);
  const disasters: readonly Disaster[] = [
    { kind: "crash", at: pick(DISPATCH_POINTS), nth },
    { kind: "crash", at: pick(WORKER_POINTS), nth },
    { kind: "crash", at: pick(WORKER_POINTS), nth },
    { kind: "kill unanswered" },
    { kind: "kill worker", afterMs },
    { kind: "halt before send", nth, forMs: 500 + upTo(2_000) },
    { kind: "kill Redis", afterMs },
    { kind: "pause Redis", afterMs, forMs: 200 + upTo(1_500) },
    { kind: "cut Redis", afterMs: 5 + afterMs, share: random() },
    { kind: "cut Redis", afterMs: 5 + afterMs, share: random() },
    ...(network
      ? (["redis", "broker"] as const).map((to): Disaster => ({
          kind: "network",
          to,
          toxic,
          afterMs,
          forMs: 200 + upTo(1_200),
        }))
      : []),
  ];
  return { round, broker, faults, durationSeconds, disaster: pick(disasters) };
}

/**
 * A stop: a halt keeps back everything of a scope that has not left yet, a drain
 * what would open anew. Redis and the records each keep what they know of a
 * scope's last change, and either may lose it. Two such accounts are merged so
 * that the stricter one holds, unless a person lifted it afterwards.
 */
export const STOP_STATES = ["halt", "drain"] as const;
export type StopState = (typeof STOP_STATES)[number];
export type StopAction = StopState | "lift";

/** Who changed a stop, and why. */
export interface StopAuthor {
  /** A person's id, or `operator` for a command. */
  readonly by: string;
  /** The person who may lift it; `*` where only an administrator may. */
  readonly owner: string;
  /** Empty where nobody said. */
  readonly why: string;
}

/** The last change of a scope. */
export interface Stop extends StopAuthor {
  readonly state: StopState | "open";
  /** By the clock of the Redis that was changed; 0 where it is not known. */
  readonly atMs: number;
  /** When a person last lifted it; 0 for never. */
  readonly liftedAtMs: number;
}

export const OPERATOR = "operator";
/** The owner of what only an administrator may lift. */
export const ADMINISTRATORS = "*";

/** Long enough for a sentence or two. */
export const MAX_WHY_LENGTH = 200;

const STRICTNESS = { open: 0, drain: 1, halt: 2 } as const;

export function isStricter(a: Stop["state"], b: Stop["state"]): boolean {
  return STRICTNESS[a] > STRICTNESS[b];
}

export function mergeStops(known: Stop | undefined, other: Stop): Stop {
  if (!known) return other;
  const liftedAtMs = Math.max(known.liftedAtMs, other.liftedAtMs);
  const holding = [known, other].filter(
    ({ state, atMs }) => state !== "open" && atMs >= liftedAtMs,
  );
  const [first, second] = holding;
  if (!first) return other.liftedAtMs > known.liftedAtMs ? other : known;
  return { ...(second && overrules(second, first) ? second : first), liftedAtMs };
}

/** Of two equal ones the later: an earlier one may be lifted already. */
function overrules(a: Stop, b: Stop): boolean {
  return a.state === b.state ? a.atMs > b.atMs : isStricter(a.state, b.state);
}

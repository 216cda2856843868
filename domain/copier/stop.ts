/**
 * A stop: a halt stops everything of a scope that was not sent yet, a drain stops new opens. Redis
 * and the records each store a scope's last change, and either may lose it. The two are merged so
 * that the stricter one applies, unless a person lifted it later.
 */
export const STOP_STATES = ["halt", "drain"] as const;
export type StopState = (typeof STOP_STATES)[number];
export type StopAction = StopState | "lift";

/** Who changed a stop, and why. */
export interface StopAuthor {
  /** A person's id, or `operator` for a command. */
  readonly by: string;
  /** The person who may lift it; `*` if only an administrator may. */
  readonly owner: string;
  /** Empty if no reason was given. */
  readonly why: string;
}

/** The last change of a scope. */
export interface Stop extends StopAuthor {
  readonly state: StopState | "open";
  /** By the clock of the Redis that was changed; 0 if unknown. */
  readonly atMs: number;
  /** When a person last lifted it; 0 for never. */
  readonly liftedAtMs: number;
}

export const OPERATOR = "operator";
/** The owner of a stop that only an administrator may lift. */
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

/** Of two equal stops the later one: the earlier may already be lifted. */
function overrules(a: Stop, b: Stop): boolean {
  return a.state === b.state ? a.atMs > b.atMs : isStricter(a.state, b.state);
}

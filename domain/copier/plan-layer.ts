/**
 * A follower's plan inherits from the scopes above it: platform, provider, channel, the follower's
 * own settings for all their subscriptions, and last the subscription itself. Each of these is a
 * layer, and `inherit` combines two of them. It is associative, so the layers can be combined in
 * any grouping.
 *
 * A field of a layer is *additive*, unless the layer names it as *overriding*. An overriding field
 * replaces what it inherits. An additive field is combined with it, so that both apply:
 *
 * - caps, ages: the lower;  - minimum payout: the higher;
 * - allowed symbols: those in both;  - denied symbols: those in either;
 * - symbol map: both, and for the same symbol the lower layer's;
 * - reverse: reversed twice means not reversed;
 * - sizing: there can be only one, the lower layer's.
 *
 * A pause is not a field of the plan, so no lower scope can override it.
 */
import { PAUSE_SCOPES, type CopyPlan, type PauseScope } from "./plan.ts";

type Settings = Omit<CopyPlan, "pausedBy">;
export type PlanField = keyof Settings;

export interface PlanLayer extends Settings {
  /** Fields that replace what they inherit; all others add to it. */
  readonly overriding?: readonly PlanField[];
}

/** The settings of one scope, which apply to everything below it. */
export interface ScopeSettings {
  readonly plan: PlanLayer;
  readonly paused: boolean;
}

type Combine = {
  readonly [Field in PlanField]-?: (
    upper: NonNullable<Settings[Field]>,
    lower: NonNullable<Settings[Field]>,
  ) => NonNullable<Settings[Field]>;
};

const lowest = (upper: number, lower: number): number => Math.min(upper, lower);

const ADDITIVE: Combine = {
  sizing: (_, lower) => lower,
  maxStakeCents: lowest,
  maxDayStakeCents: lowest,
  maxOpen: lowest,
  maxDayLossCents: lowest,
  symbols: (upper, lower) => upper.filter((symbol) => lower.includes(symbol)),
  deniedSymbols: (upper, lower) => [...new Set([...upper, ...lower])],
  symbolMap: (upper, lower) => ({ ...upper, ...lower }),
  reverse: (upper, lower) => upper !== lower,
  minPayoutBp: (upper, lower) => Math.max(upper, lower),
  maxAgeMs: lowest,
  maxAgeShareBp: lowest,
};

export const PLAN_FIELDS = Object.keys(ADDITIVE) as PlanField[];

/** Combines two layers into one with the same effect. */
export function inherit(upper: PlanLayer, lower: PlanLayer): PlanLayer {
  const values: Partial<Record<PlanField, unknown>> = {};
  const overriding: PlanField[] = [];
  for (const field of PLAN_FIELDS) {
    const overrides = replaces(lower, field);
    const value = overrides ? lower[field] : added(field, upper, lower);
    if (value !== undefined) values[field] = value;
    if (overrides || replaces(upper, field)) overriding.push(field);
  }
  const fields = values as Settings;
  return overriding.length > 0 ? { ...fields, overriding } : fields;
}

/**
 * A layer and the widest pause above it: several scopes combined, or what a row of the roster
 * stores.
 */
export interface LayeredPlan extends PlanLayer {
  readonly pausedBy?: PauseScope;
}

/** Combines `lower` with everything above it; a lower scope never overrides a pause. */
export function layUnder(upper: LayeredPlan, lower: LayeredPlan): LayeredPlan {
  const pausedBy = upper.pausedBy ?? lower.pausedBy;
  const plan = inherit(upper, lower);
  return pausedBy === undefined ? plan : { ...plan, pausedBy };
}

/** Combines scopes, from the widest to the narrowest. */
export function foldScopes(
  scopes: Readonly<Partial<Record<PauseScope, ScopeSettings>>>,
): LayeredPlan {
  let folded: LayeredPlan = {};
  for (const scope of PAUSE_SCOPES) {
    const settings = scopes[scope];
    if (!settings) continue;
    const { plan, paused } = settings;
    folded = layUnder(folded, paused ? { ...plan, pausedBy: scope } : plan);
  }
  return folded;
}

/**
 * If a layer names a field as overriding without giving a value, the inherited value is removed.
 */
function replaces({ overriding }: PlanLayer, field: PlanField): boolean {
  return overriding?.includes(field) ?? false;
}

function added<Field extends PlanField>(
  field: Field,
  { [field]: upper }: Settings,
  { [field]: lower }: Settings,
): Settings[Field] {
  if (upper === undefined || lower === undefined) return lower ?? upper;
  const combine = ADDITIVE[field] as (upper: unknown, lower: unknown) => Settings[Field];
  return combine(upper, lower);
}

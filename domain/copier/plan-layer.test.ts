import { expect, test } from "bun:test";
import fc from "fast-check";
import { PAUSE_SCOPES, type Sizing } from "./plan.ts";
import {
  foldScopes,
  inherit,
  layUnder,
  PLAN_FIELDS,
  type PlanField,
  type PlanLayer,
} from "./plan-layer.ts";

const cents = fc.integer({ min: 1, max: 1_000 });
const symbols = fc.uniqueArray(fc.constantFrom("A", "B", "C", "D"));
const sizing: fc.Arbitrary<Sizing> = fc.oneof(
  cents.map((stakeCents) => ({ kind: "fixed" as const, stakeCents })),
  cents.map((shareBp) => ({ kind: "balance" as const, shareBp })),
);

const layer: fc.Arbitrary<PlanLayer> = fc.record(
  {
    sizing,
    maxStakeCents: cents,
    maxDayStakeCents: cents,
    maxOpen: cents,
    maxDayLossCents: cents,
    symbols,
    deniedSymbols: symbols,
    symbolMap: fc.dictionary(fc.constantFrom("A", "B"), fc.constantFrom("X", "Y")),
    reverse: fc.boolean(),
    minPayoutBp: cents,
    maxAgeMs: cents,
    maxAgeShareBp: cents,
    overriding: fc.uniqueArray(fc.constantFrom(...PLAN_FIELDS)),
  },
  { requiredKeys: [] },
);

const additive = layer.map(({ overriding: _, ...fields }): PlanLayer => fields);

/** Sorts the lists whose order has no meaning. */
function normal({ overriding, symbols: allowed, deniedSymbols, ...rest }: PlanLayer): object {
  return {
    ...rest,
    ...(allowed ? { symbols: allowed.toSorted() } : {}),
    ...(deniedSymbols ? { deniedSymbols: deniedSymbols.toSorted() } : {}),
    overriding: (overriding ?? []).toSorted(),
  };
}

test("inheriting is associative, for additive and overriding fields", () => {
  fc.assert(
    fc.property(layer, layer, layer, (a, b, c) => {
      expect(normal(inherit(inherit(a, b), c))).toEqual(normal(inherit(a, inherit(b, c))));
    }),
  );
});

test("an empty layer changes nothing, above or below", () => {
  fc.assert(
    fc.property(layer, (a) => {
      expect(normal(inherit({}, a))).toEqual(normal(a));
      expect(normal(inherit(a, {}))).toEqual(normal(a));
    }),
  );
});

test("an additive layer never loosens a limit", () => {
  const caps = [
    "maxStakeCents",
    "maxDayStakeCents",
    "maxOpen",
    "maxDayLossCents",
    "maxAgeMs",
    "maxAgeShareBp",
  ] as const;
  fc.assert(
    fc.property(layer, additive, (upper, lower) => {
      const both = inherit(upper, lower);
      for (const cap of caps) {
        const limit = upper[cap];
        if (limit !== undefined) expect(both[cap]).toBeLessThanOrEqual(limit);
      }
      if (upper.minPayoutBp !== undefined) {
        expect(both.minPayoutBp).toBeGreaterThanOrEqual(upper.minPayoutBp);
      }
      for (const symbol of both.symbols ?? []) {
        if (upper.symbols) expect(upper.symbols).toContain(symbol);
      }
      for (const symbol of upper.deniedSymbols ?? []) expect(both.deniedSymbols).toContain(symbol);
    }),
  );
});

test("an overriding field replaces what it inherits, and removes it if it has no value", () => {
  fc.assert(
    fc.property(layer, layer, fc.constantFrom(...PLAN_FIELDS), (upper, lower, field: PlanField) => {
      const both = inherit(upper, { ...lower, overriding: [field] });
      expect(both[field]).toEqual(lower[field] as never);
    }),
  );
});

test("reversed by channel and by follower means not reversed", () => {
  const reverse = { plan: { reverse: true }, paused: false };
  const upper = foldScopes({ channel: reverse });
  expect(layUnder(upper, {}).reverse).toBe(true);
  expect(layUnder(upper, { reverse: true }).reverse).toBe(false);
});

test("the widest pause applies, and no lower scope overrides it", () => {
  const paused = { plan: {}, paused: true };
  const own: PlanLayer = { overriding: [...PLAN_FIELDS] };
  for (const scope of PAUSE_SCOPES) {
    expect(layUnder(foldScopes({ [scope]: paused }), own).pausedBy).toBe(scope);
  }
  const both = foldScopes({ follower: paused, provider: paused });
  expect(layUnder(both, own).pausedBy).toBe("provider");
  expect(layUnder(foldScopes({ channel: paused }), { pausedBy: "follower" }).pausedBy).toBe(
    "channel",
  );
  expect(layUnder({}, { pausedBy: "follower" }).pausedBy).toBe("follower");
  expect(layUnder({}, own).pausedBy).toBeUndefined();
});

test("it does not matter where a list of scopes is split", () => {
  const settings = fc.record({ plan: layer, paused: fc.boolean() });
  fc.assert(
    fc.property(settings, settings, settings, settings, layer, (a, b, c, d, own) => {
      const [platform, provider, channel, follower] = [a, b, c, d];
      const whole = layUnder(foldScopes({ platform, provider, channel, follower }), own);
      const row = layUnder(foldScopes({ follower }), own);
      const cut = layUnder(foldScopes({ platform, provider, channel }), row);
      expect(normal(cut)).toEqual(normal(whole));
    }),
  );
});

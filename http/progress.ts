/** The shapes of `domain/copier/progress.ts`, for the answers of the edge and the records API. */
import * as v from "valibot";
import type { Acceptance, Counts, Progress, Results, Timing } from "../domain/copier/progress.ts";
import { count } from "./field.ts";

export const AcceptanceShape = v.object({
  id: v.string(),
  sequence: count,
  acceptedAtMs: count,
  followers: count,
}) satisfies v.GenericSchema<Acceptance>;

export const CountsShape = v.object({
  followers: count,
  placed: count,
  rejected: count,
  skipped: count,
  unknown: count,
}) satisfies v.GenericSchema<Counts>;

const TimingShape = v.object({
  acceptedAtMs: count,
  firstMs: v.nullable(v.number()),
  lastMs: v.nullable(v.number()),
}) satisfies v.GenericSchema<Timing>;

export const ProgressShape = v.object({
  id: v.string(),
  status: v.picklist(["running", "complete"]),
  counts: CountsShape,
  timing: TimingShape,
}) satisfies v.GenericSchema<Progress>;

export const ResultsShape = v.object({
  open: count,
  won: count,
  lost: count,
  void: count,
  sold: count,
  closed: count,
  stakeCents: count,
  returnCents: count,
}) satisfies v.GenericSchema<Results>;

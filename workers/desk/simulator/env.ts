/** The settings of the simulated quote server. */
import * as v from "valibot";
import { port, PROCESS, text } from "../../runtime/env.ts";

export const SimulatorEnv = v.object({
  ...PROCESS,
  FANFARE_SIMULATOR_ASKED_PORT: v.optional(port, "8792"),
  FANFARE_SIMULATOR_STREAMING_PORT: v.optional(port, "8793"),
  FANFARE_SIMULATOR_SEED: v.optional(
    v.pipe(text, v.regex(/^\d+$/, "a whole number"), v.transform(Number)),
    "1",
  ),
  /** `legacy` answers as slowly as the real server does; `none` answers at once. */
  FANFARE_SIMULATOR_LATENCY: v.optional(v.picklist(["none", "legacy"], "none or legacy"), "none"),
  /**
   * A file of `SYM,price` lines, read again at each step: fixed prices instead of the walk.
   * `*` means every other symbol, and `-` means no price.
   */
  FANFARE_SIMULATOR_PRICES: v.optional(text),
});

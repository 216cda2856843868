/**
 * The simulated quote server: a process of its own that answers questions and streams
 * quotes, in the protocols of the real servers.
 */
import type { Role } from "../../runtime/role.ts";
import { SimulatorEnv } from "./env.ts";
import { legacyLatencyMs, listenAsked } from "./asked.ts";
import { fixedPrices, STEP_MS, walkingPrices } from "./prices.ts";
import { listenStreaming } from "./streaming.ts";

export const role: Role<typeof SimulatorEnv> = {
  settings: SimulatorEnv,
  async run({ settings, clock, stop, ready }) {
    const seed = settings.FANFARE_SIMULATOR_SEED;
    const walking = walkingPrices(seed);
    const file = settings.FANFARE_SIMULATOR_PRICES;
    const prices = file === undefined ? walking : fixedPrices(file, walking);

    let answers = 0;
    const asked = listenAsked({
      hostname: settings.FANFARE_HOST,
      port: settings.FANFARE_SIMULATOR_ASKED_PORT,
      prices,
      latencyMs: () =>
        settings.FANFARE_SIMULATOR_LATENCY === "legacy" ? legacyLatencyMs(seed, answers++) : 0,
      now: clock.nowMs,
    });
    const streaming = listenStreaming(
      { hostname: settings.FANFARE_HOST, port: settings.FANFARE_SIMULATOR_STREAMING_PORT },
      prices,
      clock.nowMs,
    );
    // Right after each step, so that a quote is exactly as old as its time says.
    const untilNextStepMs = (): number => STEP_MS - (clock.nowMs() % STEP_MS);
    let nextStep = setTimeout(function step() {
      streaming.publish(clock.nowMs());
      nextStep = setTimeout(step, untilNextStepMs());
    }, untilNextStepMs());
    ready();

    await new Promise((resolve) => stop.addEventListener("abort", resolve, { once: true }));
    clearTimeout(nextStep);
    asked.stop();
    streaming.stop();
  },
};

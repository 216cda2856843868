/** The simulated quote server: a process of its own that is asked and streams, in the protocols of the real ones. */
import type { Role } from "../../runtime/role.ts";
import { legacyLatencyMs, listenAsked } from "./asked.ts";
import { fixedPrices, STEP_MS, walkingPrices } from "./prices.ts";
import { listenStreaming } from "./streaming.ts";

export const role: Role = async (env, stop, ready) => {
  const seed = env.FANFARE_SIMULATOR_SEED;
  const walking = walkingPrices(seed);
  const file = env.FANFARE_SIMULATOR_PRICES;
  const prices = file === undefined ? walking : fixedPrices(file, walking);

  let answers = 0;
  const asked = listenAsked({
    hostname: env.FANFARE_HOST,
    port: env.FANFARE_SIMULATOR_ASKED_PORT,
    prices,
    latencyMs: () =>
      env.FANFARE_SIMULATOR_LATENCY === "legacy" ? legacyLatencyMs(seed, answers++) : 0,
    now: Date.now,
  });
  const streaming = listenStreaming(
    { hostname: env.FANFARE_HOST, port: env.FANFARE_SIMULATOR_STREAMING_PORT },
    prices,
    Date.now,
  );
  // Right after each step, so that a quote is as old as its time says and no older.
  const untilNextStepMs = (): number => STEP_MS - (Date.now() % STEP_MS);
  let nextStep = setTimeout(function step() {
    streaming.publish(Date.now());
    nextStep = setTimeout(step, untilNextStepMs());
  }, untilNextStepMs());
  ready();

  await new Promise((resolve) => stop.addEventListener("abort", resolve, { once: true }));
  clearTimeout(nextStep);
  asked.stop();
  streaming.stop();
};

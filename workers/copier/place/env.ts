/** The settings of the broker worker. */
import * as v from "valibot";
import { CONSUMER, PROCESS, REDIS, text, wholeNumber } from "../../runtime/env.ts";
import { BROKER, namesBroker, NO_BROKER } from "../brokers/env.ts";

export const PlaceEnv = v.pipe(
  v.object({
    ...PROCESS,
    ...REDIS,
    ...CONSUMER,
    ...BROKER,
    /**
     * Orders a second that all workers of a region together may send to the broker;
     * absent: no limit.
     */
    FANFARE_BROKER_RATE: v.optional(
      v.pipe(
        text,
        v.regex(/^\d{1,6}(?:\.\d{1,3})?$/, "orders a second"),
        v.transform(Number),
        v.minValue(0.001, "more than 0"),
      ),
    ),
    /**
     * Jobs and questions that a worker handles at once, over all its partitions: up to
     * 512 orders each.
     */
    FANFARE_JOBS_IN_FLIGHT: v.optional(v.pipe(wholeNumber(), v.minValue(2, "at least 2")), "64"),
    /**
     * After how long another worker takes over a job that its worker did not finish.
     * It must be longer than a job can take: the time until its deadline, the second
     * of asking, and a call's time limit.
     */
    FANFARE_RECLAIM_IDLE_MS: v.optional(wholeNumber("milliseconds"), "10000"),
  }),
  v.partialCheck([["FANFARE_BROKER_URL"], ["FANFARE_DESK_TOKEN"]], namesBroker, NO_BROKER),
);

/** Structured logs as JSON lines, by the console of whichever runtime this is. */
import { configureSync, getConsoleSink, getLogger, jsonLinesFormatter } from "@logtape/logtape";

export const log = getLogger(["fanfare", "edge"]);

export function configureLog(): void {
  configureSync({
    reset: true,
    sinks: { lines: getConsoleSink({ formatter: jsonLinesFormatter }) },
    loggers: [
      { category: "fanfare", lowestLevel: "info", sinks: ["lines"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["lines"] },
    ],
  });
}

/** Structured logs as JSON lines, written to the console of the runtime. */
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

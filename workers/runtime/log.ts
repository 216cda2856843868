/** Structured logs as JSON lines on standard error, so that standard output stays the supervisor's. */
import { configure, getConsoleSink, jsonLinesFormatter } from "@logtape/logtape";

export async function configureLog(role: string): Promise<void> {
  const write = getConsoleSink({ formatter: jsonLinesFormatter });
  await configure({
    sinks: { lines: write },
    loggers: [
      { category: "fanfare", lowestLevel: "info", sinks: ["lines"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["lines"] },
    ],
  });
  process.title = `fanfare ${role}`;
}

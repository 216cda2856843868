/**
 * Structured logs as JSON lines on standard error, so that standard output is free for the
 * supervisor.
 */
import {
  configure,
  getConsoleSink,
  getLogger,
  jsonLinesFormatter,
  type Logger,
} from "@logtape/logtape";

/** Returns the log of this role or command. */
export async function configureLog(name: string): Promise<Logger> {
  const write = getConsoleSink({ formatter: jsonLinesFormatter });
  await configure({
    sinks: { lines: write },
    loggers: [
      { category: "fanfare", lowestLevel: "info", sinks: ["lines"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["lines"] },
    ],
  });
  process.title = `fanfare ${name}`;
  return getLogger(["fanfare", name]);
}

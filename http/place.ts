/**
 * Where an error came from. Only this and the error's name may be logged of a bug: its message may
 * contain what a caller sent.
 */

const OURS = /\b((?:domain|redis|http|edge|workers|app|local)\/[\w./-]+:\d+)/;
/** In a bundle everything is one file. */
const ANY = /([\w.-]+\.m?js:\d+)/;

/** `file:line` of the first stack frame in our code. */
export function placeOf(error: unknown): string | undefined {
  const frames = (error instanceof Error ? (error.stack ?? "") : "")
    .split("\n")
    .filter((line) => /^\s*at /.test(line) && !line.includes("node_modules/"));
  for (const pattern of [OURS, ANY]) {
    for (const frame of frames) {
      const place = pattern.exec(frame)?.[1];
      if (place !== undefined) return place;
    }
  }
  return undefined;
}

/** An error's name, and its code if it has one. */
export function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const { code } = error as { code?: unknown };
  // A code is a constant of the library; any other value under that name is not logged.
  const isCode = typeof code === "string" && /^[A-Z0-9_]{1,40}$/.test(code);
  return isCode ? `${error.name} ${code}` : error.name;
}

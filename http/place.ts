/** Where an error came from: what may be logged of a bug beside its name. Its message may hold what a caller sent. */

const OURS = /\b((?:domain|redis|http|edge|workers|app|local)\/[\w./-]+:\d+)/;
/** In a bundle all is one file. */
const ANY = /([\w.-]+\.m?js:\d+)/;

/** `file:line` of the first frame that is ours. */
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

export function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}

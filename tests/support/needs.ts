/**
 * What a suite needs of the machine beyond the project's own packages. A suite
 * that cannot have it is left out by its title, and the run says so in one
 * line at its end; where `CI` is `true` that line is a failure.
 *
 *     describe.skipIf(!need("Chromium", path !== undefined, "not installed"))("the page", …)
 */
const missing = new Map<string, string>();

/** Answers `available`, and remembers what is not, and why. */
export function need(what: string, available: boolean, why: string): boolean {
  if (!available) missing.set(what, why);
  return available;
}

/** One line about all that was left out, or none. */
export function notRun(): string | undefined {
  if (missing.size === 0) return undefined;
  return `not run here: ${[...missing].map(([what, why]) => `${what} (${why})`).join(", ")}`;
}

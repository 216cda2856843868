/**
 * The tools of the machine that a suite needs, beyond the project's own packages. A suite without
 * its tool is skipped by its title, and the run reports it in one line at its end. If `CI` is
 * `true`, that line is a failure.
 *
 *     describe.skipIf(!need("Chromium", path !== undefined, "not installed"))("the page", …)
 */
const missing = new Map<string, string>();

/** Returns `available`, and notes what is missing, and why. */
export function need(what: string, available: boolean, why: string): boolean {
  if (!available) missing.set(what, why);
  return available;
}

/** One line about all skipped suites, or none. */
export function notRun(): string | undefined {
  if (missing.size === 0) return undefined;
  return `not run here: ${[...missing].map(([what, why]) => `${what} (${why})`).join(", ")}`;
}

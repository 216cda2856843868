/** The built page of `app/`: built when it is missing or older than its sources. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/**
 * The folder to serve. There is none if there is nothing to build, or if the build failed and there
 * is no earlier build; the API is served anyway.
 */
export async function preparePage(
  root: string,
  say: (line: string) => void,
): Promise<string | undefined> {
  const app = join(root, "app");
  const built = join(app, "dist");
  const index = join(built, "index.html");
  if (!existsSync(join(app, "index.html"))) {
    say("There is no page in app/ yet: only the API is served.");
    return undefined;
  }
  if (existsSync(index) && newest(app) <= statSync(index).mtimeMs) return built;

  say("Building the page …");
  const startedMs = performance.now();
  const child = Bun.spawn(
    [process.execPath, "--bun", join(root, "node_modules/vite/bin/vite.js"), "build", app],
    { cwd: root, stdin: "ignore", stdout: "ignore", stderr: "pipe" },
  );
  const complaint = new Response(child.stderr).text();
  if ((await child.exited) === 0) {
    say(`Built the page in ${((performance.now() - startedMs) / 1000).toFixed(1)} s.`);
    return built;
  }
  const kept = existsSync(index) ? "the page from before is served" : "only the API is served";
  say(`The page could not be built, ${kept}:\n${(await complaint).trimEnd()}`);
  return existsSync(index) ? built : undefined;
}

/** When the newest source was changed, in epoch milliseconds. */
function newest(folder: string): number {
  const times = readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => name !== "dist" && name !== "node_modules")
    .map((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? newest(path) : statSync(path).mtimeMs;
    });
  return Math.max(0, ...times);
}

/**
 * Installs the packages of package-lock.json when they are missing or out of date. Plain JavaScript
 * and built-ins only: it runs before anything is installed, on Node and on Bun.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const ROOT = join(import.meta.dirname, "..");
export const BUN = join(ROOT, "node_modules", ".bin", "bun");

/**
 * Starting needs only the production packages, testing needs all. A full install stays full. Throws
 * an Error whose message tells the user what failed.
 *
 * @param {{ development: boolean }} needed
 * @returns {boolean} whether anything had to be installed
 */
export function installPackages({ development }) {
  const current = isCurrent(development);
  if (!current) {
    const all = development || hasDevelopment();
    console.log(`Installing packages${all ? "" : " (only those needed to run)"} …`);
    // Not `npm ci`: it begins by removing everything, while processes may be running. Without
    // saving, `npm install` also follows the lockfile, and installs only what is missing.
    const [command, ...args] = has("npm")
      ? [
          "npm",
          "install",
          "--no-save",
          "--no-audit",
          "--no-fund",
          all ? "--include=dev" : "--omit=dev",
        ]
      : ["bun", "install", ...(all ? [] : ["--production"])];
    run(command, args);
  }
  // Bun's package downloads its binary in an install script, which some npm settings forbid.
  if (spawnSync(BUN, ["--version"], { stdio: "ignore" }).status !== 0) {
    run(process.execPath, [join(ROOT, "node_modules", "bun", "install.js")]);
  }
  return !current;
}

/** npm's note about an install; Bun writes no note about the installed versions. */
function npmNotes() {
  return readJson(join(ROOT, "node_modules", ".package-lock.json"))?.packages;
}

function hasDevelopment() {
  const notes = npmNotes();
  if (notes) return Object.values(notes).some((each) => each.dev);
  return existsSync(join(ROOT, "node_modules", "typescript"));
}

function isCurrent(development) {
  const notes = npmNotes();
  if (notes) {
    const installedAt = new Map(Object.entries(notes));
    const wanted = Object.entries(readJson(join(ROOT, "package-lock.json")).packages);
    return wanted.every(([path, { version, optional, dev, devOptional }]) => {
      if (path === "" || (dev && !development)) return true;
      const installed = installedAt.get(path);
      return installed
        ? installed.version === version
        : Boolean(optional || (devOptional && !development));
    });
  }
  const { dependencies, devDependencies } = readJson(join(ROOT, "package.json"));
  return Object.entries({ ...dependencies, ...(development ? devDependencies : {}) }).every(
    ([name, version]) =>
      readJson(join(ROOT, "node_modules", name, "package.json"))?.version === version,
  );
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    // Missing or truncated: it is installed again.
    return undefined;
  }
}

function has(command) {
  return spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: "inherit" });
  if (status !== 0) {
    throw new Error(
      `\`${[command, ...args].join(" ")}\` ${error ? "could not be run" : "failed; its output above says why"}`,
    );
  }
}

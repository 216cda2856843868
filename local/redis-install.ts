/**
 * Finds redis-server, or installs it by the system's package manager, and prints what it does.
 * Built-ins only: tests call it before anything else is loaded.
 */
import { spawnSync } from "node:child_process";

export type InstallResult = { readonly ok: true } | { readonly ok: false; readonly help: string };

export function haveRedis(): boolean {
  return runs("redis-server", "--version");
}

export function installRedis(say: (line: string) => void): InstallResult {
  if (haveRedis()) return { ok: true };
  if (!runs("apt-get", "--version")) {
    const command = runs("brew", "--version") ? "brew install redis" : "the system's packages";
    return { ok: false, help: `redis-server is needed and not installed: use ${command}` };
  }
  const sudo = process.getuid?.() === 0 ? [] : ["sudo", "-n"];
  const install = [...sudo, "apt-get", "install", "-y", "--no-install-recommends", "redis-server"];
  const help = `redis-server is needed and could not be installed: run \`sudo apt-get install redis-server\``;
  if (sudo.length > 0 && !runs("sudo", "-n", "true")) return { ok: false, help };
  for (const command of [[...sudo, "apt-get", "update"], install]) {
    say(`Installing redis-server: ${command.join(" ")} …`);
    const [program = "", ...args] = command;
    spawnSync(program, args, {
      stdio: ["ignore", "ignore", "inherit"],
      // The package would start its own server; we start ours.
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" },
    });
  }
  return haveRedis() ? { ok: true } : { ok: false, help };
}

function runs(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

/**
 * A role of the workers as a supervised service, with only those environment variables that any
 * process may have.
 */
import { join } from "node:path";
import type { Service } from "./process.ts";

type Env = Readonly<Record<string, string>>;

export function bunService(
  root: string,
  name: string,
  words: readonly string[],
  env: Env,
): Service {
  const orphan = ["--preload", join(root, "local/orphan.ts")];
  return {
    name,
    command: [process.execPath, "--no-env-file", ...orphan, ...words],
    env: { ...inherited(), ...env },
  };
}

export function workerService(root: string, name: string, role: string, env: Env): Service {
  return bunService(root, name, [join(root, "workers/main.ts"), role], env);
}

/** A command of the workers that runs once, under the name of a service. */
export function commandService(root: string, name: string, command: string, env: Env): Service {
  return { ...bunService(root, name, buildCommand(root, command), env), once: true };
}

/** The words that start a command of the workers. */
export function buildCommand(root: string, command: string): readonly string[] {
  return [join(root, "workers/commands/main.ts"), command];
}

function inherited(): Record<string, string> {
  const names = ["PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "NODE_EXTRA_CA_CERTS"];
  const all = new Map(Object.entries(process.env));
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = all.get(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

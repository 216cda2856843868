/** A worker role as a separate process, as in production. */
import type { Subprocess } from "bun";

export interface RoleProcess {
  readonly pid: number;
  state(): "alive" | "halted" | "dead";
  /** SIGSTOP, and SIGCONT. */
  halt(): void;
  resume(): void;
  /** Resolves once it has ended, also by itself. */
  readonly exited: Promise<number>;
  /** `kill -9`. */
  kill(): Promise<void>;
  /** Sends SIGTERM; returns the exit code. */
  stop(): Promise<number>;
}

/**
 * Resolves once the role has printed that it is ready. Its log goes to this process's standard
 * error only if it does not start.
 */
export async function startRole(
  name: string,
  env: Readonly<Record<string, string>>,
): Promise<RoleProcess> {
  const child: Subprocess<"ignore", "pipe", "pipe"> = Bun.spawn(
    [process.execPath, "workers/main.ts", name],
    { env: { ...process.env, ...env }, stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  );
  const log = new Response(child.stderr).text();
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    if (!text.includes("ready")) continue;
    return {
      pid: child.pid,
      state: () => readState(child.pid),
      halt() {
        child.kill("SIGSTOP");
      },
      resume() {
        child.kill("SIGCONT");
      },
      exited: child.exited,
      async kill() {
        child.kill("SIGKILL");
        await child.exited;
      },
      async stop() {
        child.kill("SIGTERM");
        return await child.exited;
      },
    };
  }
  throw new Error(`${name} did not come up: ${await log}`);
}

/** Starts the same role once for each consumer name. */
export async function startRoles(
  name: string,
  env: Readonly<Record<string, string>>,
  consumers: readonly string[],
): Promise<RoleProcess[]> {
  return await Promise.all(
    consumers.map((consumer) => startRole(name, { ...env, FANFARE_CONSUMER: consumer })),
  );
}

function readState(pid: number): "alive" | "halted" | "dead" {
  const { stdout } = Bun.spawnSync(["ps", "-o", "stat=", "-p", String(pid)]);
  const letter = stdout.toString().trim().slice(0, 1);
  if (letter === "T") return "halted";
  return letter === "" || letter === "Z" ? "dead" : "alive";
}

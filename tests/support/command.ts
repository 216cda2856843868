/** Runs a command of the workers as a separate process, to its end. */

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly endedAtMs: number;
}

/** `words` begin with the module, such as `workers/main.ts`. */
export async function runCommand(
  words: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Ran> {
  const child = Bun.spawn([process.execPath, "--no-env-file", ...words], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = child.exited.then((code) => ({ code, endedAtMs: Date.now() }));
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { ...(await ended), out, err };
}

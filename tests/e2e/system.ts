/** All of Fanfare as `npm start` starts it, with its own port and data. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../support/ports.ts";
import { until } from "../support/wait.ts";

const START_TIMEOUT_MS = 120_000;

export interface Person {
  readonly email: string;
  readonly password: string;
}

export interface System extends Person {
  /** As it was printed. */
  readonly url: string;
  readonly trader: Person;
  /** `kill -9`, by the name of its status line. */
  kill(name: string): void;
  stop(): Promise<void>;
}

/** `settings` are added to the port and the data folder, which the system chooses. */
export async function startSystem(settings: Record<string, string> = {}): Promise<System> {
  const port = await freePort();
  const data = mkdtempSync(join(tmpdir(), "fanfare-e2e-"));
  const child = Bun.spawn([process.execPath, "local/main.ts"], {
    cwd: join(import.meta.dir, "../.."),
    // The page must be built as for a user, not as for a test.
    env: {
      ...process.env,
      NODE_ENV: undefined,
      HOST: undefined,
      ...settings,
      PORT: String(port),
      FANFARE_DATA: data,
    },
    stdout: "pipe",
    stderr: "pipe",
  });
  let printed = "";
  const reading = [child.stdout, child.stderr].map(async (stream) => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) printed += decoder.decode(chunk, { stream: true });
  });

  async function stop(): Promise<void> {
    child.kill("SIGTERM");
    await child.exited;
    await Promise.all(reading);
    rmSync(data, { recursive: true, force: true });
  }

  try {
    await until(
      "the line to try is printed",
      () => {
        if (child.exitCode !== null) throw new Error(`it ended before it was up:\n${printed}`);
        return /^curl /m.test(printed);
      },
      START_TIMEOUT_MS,
    );
    return {
      url: /^Ready in .*: (\S+)$/m.exec(printed)?.[1] ?? "",
      ...parseSignIn("sign in with", printed),
      trader: parseSignIn("as day trader", printed),
      kill(name) {
        const notes = readFileSync(join(data, "processes.json"), "utf8");
        const pid = (JSON.parse(notes) as Record<string, number>)[name];
        if (pid === undefined) throw new Error(`${name} does not run`);
        process.kill(pid, "SIGKILL");
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function parseSignIn(label: string, printed: string): Person {
  const line = new RegExp(`^ *${label} +(\\S+) +(\\S+)$`, "m");
  const [, email, password] = line.exec(printed) ?? [];
  if (!email || !password) throw new Error(`no "${label}" among what was printed:\n${printed}`);
  return { email, password };
}

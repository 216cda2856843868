/** Starts the edge as a process on each of its runtimes, as it is deployed there. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { freePort } from "../support/ports.ts";
import { until } from "../support/wait.ts";

export interface RunningEdge {
  readonly url: string;
  /** Its whole standard error, once it has ended. */
  readonly errors: Promise<string>;
  /** Sends SIGTERM; returns the exit code. */
  stop(): Promise<number>;
  /** `kill -9`. */
  kill(): Promise<void>;
}

export type Settings = Readonly<Record<string, string>>;
export type Launch = (settings: Settings) => Promise<RunningEdge>;

/** A compatibility date that the installed workerd knows. */
const COMPATIBILITY_DATE = /^compatibility_date = "(.*)"$/m;

export const RUNTIMES: Readonly<Record<"Bun" | "workerd" | "Deno", Launch>> = {
  Bun: async (settings) => await serve([process.execPath, "edge/entry-bun.ts"], settings),
  Deno: async (settings) =>
    await serve(
      [
        "node_modules/.bin/deno",
        "run",
        "--no-remote",
        "--node-modules-dir=manual",
        "--allow-net",
        "--allow-env",
        "--allow-read",
        "edge/entry-deno.ts",
      ],
      settings,
    ),
  async workerd(settings) {
    const dir = mkdtempSync(join(tmpdir(), "fanfare-workerd-"));
    const bundled = await Bun.build({
      entrypoints: ["edge/entry-cloudflare.ts"],
      target: "browser",
      conditions: ["workerd", "worker"],
      format: "esm",
      outdir: dir,
      naming: "edge.js",
    });
    if (!bundled.success) throw new Error("the Worker does not bundle");
    const port = await freePort();
    const date = COMPATIBILITY_DATE.exec(await Bun.file("wrangler.toml").text())?.[1] ?? "";
    writeFileSync(join(dir, "edge.capnp"), workerdConfig(port, date, settings));
    const edge = await serve(
      ["node_modules/.bin/workerd", "serve", join(dir, "edge.capnp")],
      {},
      port,
    );
    return {
      ...edge,
      async stop() {
        const code = await edge.stop();
        rmSync(dir, { recursive: true });
        return code;
      },
    };
  },
};

function workerdConfig(port: number, date: string, settings: Settings): string {
  const bindings = Object.entries(settings)
    .map(([name, value]) => `(name = ${JSON.stringify(name)}, text = ${JSON.stringify(value)})`)
    .join(", ");
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "edge", worker = (
      modules = [(name = "edge.js", esModule = embed "edge.js")],
      compatibilityDate = "${date}",
      bindings = [${bindings}],
      globalOutbound = "network",
    )),
    (name = "network", network = (allow = ["private", "public"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "edge")],
);
`;
}

async function serve(command: string[], settings: Settings, at?: number): Promise<RunningEdge> {
  const port = at ?? (await freePort());
  const { PATH = "", HOME = "" } = process.env;
  const child: Subprocess<"ignore", "ignore", "pipe"> = Bun.spawn(command, {
    env: { PATH, HOME, DENO_NO_UPDATE_CHECK: "1", ...settings, PORT: String(port) },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const log = new Response(child.stderr).text();
  const url = `http://127.0.0.1:${port}`;
  await until("the edge answers", async () => {
    if (child.exitCode !== null) throw new Error(`the edge did not come up: ${await log}`);
    return await fetch(`${url}/healthz`).then(
      (response) => response.ok,
      () => false,
    );
  });
  return {
    url,
    errors: log,
    async stop() {
      child.kill("SIGTERM");
      return await child.exited;
    },
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

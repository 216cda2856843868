/**
 * Toxiproxy between two real parts: it cuts, slows and resets the traffic. Built once, if Go is
 * installed.
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { need } from "./needs.ts";
import { freePort } from "./ports.ts";
import { until } from "./wait.ts";

const MODULE = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0";
const FOLDER = resolve(".cache/toxiproxy");

export type Toxic =
  | { readonly kind: "cut" }
  | { readonly kind: "reset" }
  | { readonly kind: "silent" }
  | { readonly kind: "slow"; readonly delayMs: number };

export interface Toxiproxy {
  /** A proxy to a local port that can be disturbed; returns its own port. */
  link(name: string, toPort: number): Promise<number>;
  spoil(name: string, toxic: Toxic): Promise<void>;
  restore(name: string): Promise<void>;
  stop(): Promise<void>;
}

/** Whether it exists; it is built now if necessary. */
export function hasToxiproxy(): boolean {
  if (existsSync(`${FOLDER}/server`)) return true;
  if (Bun.which("go") === null) return need("toxiproxy", false, "no Go to build it with");
  const built = Bun.spawnSync(["go", "install", MODULE], {
    env: { ...process.env, GOBIN: FOLDER },
    stdout: "ignore",
    stderr: "ignore",
  });
  return need("toxiproxy", built.success, "it could not be built");
}

export async function startToxiproxy(): Promise<Toxiproxy> {
  const port = await freePort();
  const child = Bun.spawn([`${FOLDER}/server`, "-port", String(port), "-host", "127.0.0.1"], {
    stdout: "ignore",
    stderr: "ignore",
  });
  const call = async (method: string, path: string, body?: unknown): Promise<void> => {
    const reply = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!reply.ok) throw new Error(`toxiproxy answered ${reply.status} to ${path}`);
  };
  await until("toxiproxy answers", () =>
    call("GET", "/version").then(
      () => true,
      () => false,
    ),
  );
  return {
    async link(name, toPort) {
      const listen = await freePort();
      const addresses = { listen: `127.0.0.1:${listen}`, upstream: `127.0.0.1:${toPort}` };
      await call("POST", "/proxies", { name, ...addresses, enabled: true });
      return listen;
    },
    async spoil(name, toxic) {
      if (toxic.kind === "cut") {
        await call("POST", `/proxies/${name}`, { enabled: false });
        return;
      }
      const [type, attributes] =
        toxic.kind === "slow"
          ? ["latency", { latency: toxic.delayMs, jitter: Math.floor(toxic.delayMs / 2) }]
          : [toxic.kind === "reset" ? "reset_peer" : "timeout", { timeout: 0 }];
      await call("POST", `/proxies/${name}/toxics`, { name: "one", type, attributes });
    },
    async restore(name) {
      await call("POST", `/proxies/${name}`, { enabled: true });
      await call("DELETE", `/proxies/${name}/toxics/one`).catch(() => undefined);
    },
    async stop() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

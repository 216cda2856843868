/**
 * The desk servers behind this edge, each of which can serve every request. A server that fails is
 * left out and asked for its health until it is healthy again. A server that was silent for a
 * second is asked before it is used, so that lines which must not be sent twice are seldom sent to
 * a dead server.
 */
import { log } from "../log.ts";

const FRESH_MS = 1_000;
const HEALTH_LIMIT_MS = 1_000;
const LEFT_OUT_MS = 500;

export interface DeskServer {
  readonly url: string;
  heardAtMs: number;
  /** When to ask a server that is left out for its health again. */
  askAgainAtMs: number | undefined;
}

/** Registers work that may outlive the answer to a request. */
export type Later = (task: Promise<unknown>) => void;

export interface DeskServersOptions {
  readonly urls: readonly string[];
  readonly token: string;
  readonly clock: () => number;
}

export class DeskServers {
  readonly clock: () => number;
  readonly #servers: readonly DeskServer[];
  readonly #token: string;
  #turn = 0;

  constructor({ urls, token, clock }: DeskServersOptions) {
    this.#servers = urls.map((url) => ({
      url: url.replace(/\/$/, ""),
      heardAtMs: 0,
      askAgainAtMs: undefined,
    }));
    this.#token = token;
    this.clock = clock;
  }

  /**
   * A healthy server, or undefined if there is none. A user always gets the same server while it is
   * healthy, because it has their quotes cached.
   */
  async choose(user: string, later: Later): Promise<DeskServer | undefined> {
    const order = this.#order(user);
    for (const server of order) {
      if (server.askAgainAtMs === undefined && (await this.#answers(server))) {
        for (const each of order) if (this.#isDue(each)) later(this.#ask(each));
        return server;
      }
    }
    for (const server of order) if (this.#isDue(server) && (await this.#ask(server))) return server;
    return undefined;
  }

  leaveOut(server: DeskServer): void {
    if (server.askAgainAtMs === undefined) log.warn("a desk server is left out", where(server));
    server.askAgainAtMs = this.clock() + LEFT_OUT_MS;
  }

  async isWell({ url }: DeskServer): Promise<boolean> {
    try {
      const response = await fetch(`${url}/healthz`, {
        signal: AbortSignal.timeout(HEALTH_LIMIT_MS),
      });
      await response.body?.cancel();
      return response.ok;
    } catch {
      // A server that cannot be asked is not healthy, for any reason.
      return false;
    }
  }

  async fetch(server: DeskServer, path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set("authorization", `Bearer ${this.#token}`);
    const response = await fetch(server.url + path, { ...init, headers, redirect: "manual" });
    server.heardAtMs = this.clock();
    return response;
  }

  #order(user: string): readonly DeskServer[] {
    let first = 0;
    if (user === "") first = this.#turn++;
    else for (const letter of user) first = (first * 31 + letter.charCodeAt(0)) % 65_521;
    const at = first % this.#servers.length;
    return [...this.#servers.slice(at), ...this.#servers.slice(0, at)];
  }

  async #answers(server: DeskServer): Promise<boolean> {
    if (this.clock() - server.heardAtMs < FRESH_MS) return true;
    const well = await this.isWell(server);
    if (well) server.heardAtMs = this.clock();
    else this.leaveOut(server);
    return well;
  }

  #isDue({ askAgainAtMs }: DeskServer): boolean {
    return askAgainAtMs !== undefined && this.clock() >= askAgainAtMs;
  }

  async #ask(server: DeskServer): Promise<boolean> {
    // No other request asks meanwhile.
    server.askAgainAtMs = this.clock() + HEALTH_LIMIT_MS + LEFT_OUT_MS;
    if (!(await this.isWell(server))) {
      server.askAgainAtMs = this.clock() + LEFT_OUT_MS;
      return false;
    }
    log.info("a desk server is back", where(server));
    server.askAgainAtMs = undefined;
    server.heardAtMs = this.clock();
    return true;
  }
}

function where({ url }: DeskServer): { readonly server: string } {
  return { server: new URL(url).host };
}

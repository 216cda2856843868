/**
 * The edge's API as the page uses it. Every answer that can be expected is a
 * value; nothing here throws.
 */
import type { Problem } from "../../domain/error-codes.ts";
import type { Acceptance, Counts, Progress, Results } from "../../domain/copier/progress.ts";
import type { OpenSignal } from "../../domain/copier/signal.ts";

import type { Answer } from "./answer.ts";
import type { CommandReply, DeskApi } from "./desk/api.ts";

export interface Session {
  readonly token: string;
  /** Epoch milliseconds. */
  readonly expiresAtMs: number;
  readonly person: { readonly id: string; readonly name: string };
}

export interface ChannelSummary {
  readonly id: string;
  readonly name: string;
  readonly symbols: readonly string[];
  /** Whether the caller may send signals to it. */
  readonly maySend: boolean;
}

export type SignalBody = Omit<OpenSignal, "channel"> & { readonly channel: string };

/** What one signal still has open is to be sold back. */
export interface CloseBody {
  readonly action: "close";
  readonly channel: string;
  readonly signal?: string;
  /** As it was recorded; absent where the house closed all. */
  readonly symbol?: string;
}

export type AnySignal = SignalBody | CloseBody;

export type RecordedSignal = AnySignal &
  Acceptance & {
    readonly counts: Counts;
    readonly results: Results;
  };

/** A little above the edge's own time limits. */
const ANSWER_TIMEOUT_MS = 10_000;
/** The edge ends a live feed after 60 s; one that lasts longer is a dead connection. */
const FEED_TIMEOUT_MS = 65_000;

/** A log may be long; as long as it comes, it is waited for. */
const LOG_TIMEOUT_MS = 10 * 60_000;

export interface Api {
  readonly desk: DeskApi;
  channels(): Promise<Answer<{ channels: ChannelSummary[] }>>;
  send(signal: AnySignal, idempotencyKey: string): Promise<Answer<Acceptance>>;
  progress(id: string): Promise<Answer<Progress>>;
  /** The server-sent events of a fan-out, as text. */
  feed(id: string, stop: AbortSignal): Promise<Answer<ReadableStream<Uint8Array>>>;
  recent(channel: string, limit: number): Promise<Answer<{ signals: RecordedSignal[] }>>;
}

/** The calls of someone signed in. `onRefused` is told when the token is not taken any more. */
export function createApi(token: string, onRefused: (problem: Problem) => void, origin = ""): Api {
  async function call<T>(
    path: string,
    init: RequestInit,
    read: (response: Response) => Promise<T>,
  ): Promise<Answer<T>> {
    const headers = new Headers(init.headers);
    headers.set("authorization", `Bearer ${token}`);
    const answer = await exchange(`${origin}${path}`, { ...init, headers }, read);
    if (answer.kind === "problem" && answer.problem.status === 401) onRefused(answer.problem);
    return answer;
  }

  function get<T>(path: string): Promise<Answer<T>> {
    return call<T>(path, {}, readJson);
  }

  return {
    desk: {
      summary: () => get("/v1/desk/summary"),
      quote: (symbol) => get(`/v1/desk/quotes/${symbol}`),
      send: (command, session, n) =>
        call<CommandReply>(
          "/v1/desk/commands",
          postJson({ ...command, n }, { "command-session": session }),
          readJson,
        ),
      log: () =>
        call("/v1/desk/log", { signal: AbortSignal.timeout(LOG_TIMEOUT_MS) }, (response) =>
          response.blob(),
        ),
    },
    channels: () => get("/v1/channels"),
    send: (signal, idempotencyKey) =>
      call<Acceptance>(
        "/v1/signals",
        postJson(signal, { "idempotency-key": idempotencyKey }),
        readJson,
      ),
    progress: (id) => get(`/v1/signals/${id}`),
    feed: (id, stop) =>
      call(
        `/v1/signals/${id}/live`,
        {
          headers: { accept: "text/event-stream" },
          signal: AbortSignal.any([stop, AbortSignal.timeout(FEED_TIMEOUT_MS)]),
        },
        async (response) => response.body ?? new ReadableStream<Uint8Array>(),
      ),
    recent: (channel, limit) =>
      get(`/v1/signals?${new URLSearchParams({ channel, limit: String(limit) }).toString()}`),
  };
}

export function signIn(email: string, password: string, origin = ""): Promise<Answer<Session>> {
  return exchange<Session>(`${origin}/v1/sessions`, postJson({ email, password }), readJson);
}

function postJson(body: unknown, headers: Record<string, string> = {}): RequestInit {
  return {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  };
}

function readJson<T>(response: Response): Promise<T> {
  return response.json() as Promise<T>;
}

async function exchange<T>(
  url: string,
  init: RequestInit,
  read: (response: Response) => Promise<T>,
): Promise<Answer<T>> {
  try {
    const response = await fetch(url, {
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      ...init,
    });
    if (response.ok) return { kind: "ok", value: await read(response) };
    const problem = await readProblem(response);
    return problem ? { kind: "problem", problem } : { kind: "lost" };
  } catch {
    // It did not answer; why makes no difference here.
    return { kind: "lost" };
  }
}

/** What stands between us and the edge answers in its own words: only a problem document is the edge's. */
async function readProblem(response: Response): Promise<Problem | undefined> {
  const type = response.headers.get("content-type") ?? "";
  return type.startsWith("application/problem+json") ? readJson<Problem>(response) : undefined;
}

/**
 * Sends a few lines to a desk server and returns its replies: one for each line, in order, even if
 * the server is lost. Lines that a server left unanswered go to another server only if nothing can
 * be done twice: nothing had been sent, the lines change nothing, or they have a session and
 * numbers, by which the desk recognises them. Otherwise the sender gets `OUTCOME_UNKNOWN`.
 */
import { isRepeatable, parseDeskLine } from "../../domain/desk/command.ts";
import { DESK_REFUSALS, type DeskRefusal } from "../../domain/desk/refusals.ts";
import type { LineWork } from "../../http/lines.ts";
import { lineCutter } from "../../http/line-cutter.ts";
import { nameOf, placeOf } from "../../http/place.ts";
import { log } from "../log.ts";
import type { DeskServer, DeskServers, Later } from "./servers.ts";

/** As many lines as the desk executes in one step. */
const MAX_CHUNK_LINES = 512;

export interface Sender {
  readonly servers: DeskServers;
  /** The person of the token, who owns the sessions. */
  readonly person: string;
  /** The only desk user that the lines may name; empty: any user. */
  readonly user: string;
  /** Empty if the sender named none. */
  readonly session: string;
  readonly later: Later;
}

/** How long to look for another server; a killed one is running again by then. */
const FAILOVER_MS = 5_000;
const NONE_IS_WELL_PAUSE_MS = 50;
/**
 * A server that is silent for this long is asked for its health: it may be waiting for a quote, or
 * be gone.
 */
const SILENCE_MS = 1_000;
const LONGEST_SILENCE_MS = 30_000;

/** Yields reply lines, without their newlines, as they come: one for each line. None of the lines may be blank. */
export async function* relay(
  sender: Sender,
  lines: readonly string[],
): AsyncGenerator<readonly string[], void, void> {
  const { servers, session } = sender;
  const giveUpAtMs = servers.clock() + FAILOVER_MS;
  const once = !lines.every((line) => isRepeatable(parseDeskLine(line), session));
  let answered = 0;
  let refusal: DeskRefusal = "DESK_UNAVAILABLE";
  do {
    const server = await servers.choose(sender.user, sender.later);
    if (server === undefined) {
      await pause(NONE_IS_WELL_PAUSE_MS);
      continue;
    }
    const attempt = { once, nothingTaken: false };
    for await (const replies of readReplies(sender, server, lines.slice(answered), attempt)) {
      answered += replies.length;
      yield replies;
    }
    if (answered >= lines.length) return;
    servers.leaveOut(server);
    if (attempt.nothingTaken) continue;
    refusal = "OUTCOME_UNKNOWN";
    const rest = lines.slice(answered).map(parseDeskLine);
    if (!rest.every((line) => isRepeatable(line, session))) break;
  } while (servers.clock() < giveUpAtMs);
  yield lines.slice(answered).map((line) => formatRefusal(line, refusal));
}

/** The lines of one connection: a chunk is sent when the one before it is answered. */
export function relayedLines(
  sender: Sender,
  { maxOpen = MAX_CHUNK_LINES, whyOver }: { maxOpen?: number; whyOver: () => string | undefined },
): LineWork {
  async function relayAll(
    lines: readonly string[],
    answer: (index: number, reply: string) => void,
    isGone: () => boolean,
  ): Promise<void> {
    let index = 0;
    for await (const replies of relay(sender, lines)) {
      if (isGone()) return;
      for (const reply of replies) answer(index++, reply);
    }
  }
  return {
    chunkLines: MAX_CHUNK_LINES,
    maxOpen,
    order: "sent",
    whyOver,
    take(lines, answer, isGone) {
      const done = relayAll(lines, answer, isGone);
      // A failure goes to `failed`; here we only wait.
      sender.later(done.catch(() => {}));
      return done;
    },
    failed(error) {
      log.error("lines to the desk failed", { error: nameOf(error), at: placeOf(error) });
    },
  };
}

/** A reply as the sender reads it. */
export interface DeskReply extends Readonly<Record<string, unknown>> {
  readonly n: number | null;
  readonly transaction: number | null;
  readonly ok: boolean;
  readonly code?: DeskRefusal;
}

/** The reply to a single line. */
export async function replyTo(sender: Sender, line: string): Promise<DeskReply> {
  let text = "";
  for await (const replies of relay(sender, [line])) text += replies.join("");
  return JSON.parse(text) as DeskReply;
}

interface Attempt {
  /** Whether the line must not be sent twice. */
  readonly once: boolean;
  /** Set at the end if none of the unanswered lines can have been executed. */
  nothingTaken: boolean;
}

/** Ends early, and never throws, if the server is lost. */
async function* readReplies(
  { servers, person, user, session }: Sender,
  server: DeskServer,
  lines: readonly string[],
  attempt: Attempt,
): AsyncGenerator<readonly string[], void, void> {
  const left = new AbortController();
  const heard = <T>(task: Promise<T>) => untilSilent(servers, server, task, left);
  try {
    const response = await heard(
      servers.fetch(server, "/v1/desk/commands", {
        method: "POST",
        headers: {
          "content-type": "text/plain",
          "desk-sender": person,
          ...(user === "" ? {} : { "desk-user": user }),
          ...(session === "" ? {} : { "command-session": session }),
        },
        body: `${lines.join("\n")}\n`,
        signal: left.signal,
        // On a new connection, a refused connection proves that nothing was sent.
        keepalive: !attempt.once,
      }),
    );
    if (response.status !== 200 || !response.body) {
      // If the desk refuses the whole request, it has not executed any line.
      attempt.nothingTaken = response.status < 500;
      return;
    }
    const cutter = lineCutter(Number.POSITIVE_INFINITY);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (let count = 0; count < lines.length;) {
      const { done, value } = await heard(reader.read());
      if (done) {
        // A stopping desk ends its answer completely: it has not taken the lines that it did not
        // answer.
        attempt.nothingTaken = true;
        return;
      }
      server.heardAtMs = servers.clock();
      const replies = cutter.take(value);
      count += replies.length;
      yield replies;
    }
  } catch (error) {
    attempt.nothingTaken = neverConnected(error);
  } finally {
    left.abort();
  }
}

/** Rejects if no reply comes and the server is not healthy, or if none comes for too long. */
async function untilSilent<T>(
  servers: DeskServers,
  server: DeskServer,
  task: Promise<T>,
  left: AbortController,
): Promise<T> {
  const silent = Symbol("silent");
  for (let silentMs = SILENCE_MS; ; silentMs += SILENCE_MS) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const first = await Promise.race([
      task,
      new Promise<typeof silent>((resolve) => {
        timer = setTimeout(() => resolve(silent), SILENCE_MS);
      }),
    ]).finally(() => clearTimeout(timer));
    if (first !== silent) return first;
    if (silentMs < LONGEST_SILENCE_MS && (await servers.isWell(server))) continue;
    // It is given up below, with an error that says why.
    task.catch(() => {});
    left.abort();
    throw new Error("the desk server is silent");
  }
}

/**
 * Only Bun's report is trusted. Deno resends a request by itself when a kept connection breaks, and
 * then reports only the second connection. Workers do not report it at all. There, a refused
 * connection counts as one that may have been used.
 */
function neverConnected(error: unknown): boolean {
  return (error as { readonly code?: unknown }).code === "ECONNREFUSED";
}

function formatRefusal(line: string, code: DeskRefusal): string {
  const { n } = parseDeskLine(line);
  return JSON.stringify({ n, transaction: null, ok: false, code, message: DESK_REFUSALS[code] });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

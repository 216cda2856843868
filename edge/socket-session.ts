/**
 * What happens on one socket. Its signals are accepted in the order in which they were sent; a
 * limited number of them is in progress at once.
 */
import { problemOf } from "../domain/error-codes.ts";
import type { ChannelId } from "../domain/ids.ts";
import { HomeKeys } from "../redis/keys.ts";
import { parseStoredSignal, STORED_SIGNAL_FIELDS, type StoredSignal } from "../redis/progress.ts";
import { acceptanceAnswer, acceptSignal, type Accepted } from "./accept.ts";
import { MAX_BODY_BYTES, parseJson } from "../http/body.ts";
import { check } from "../http/check.ts";
import { nameOf, placeOf } from "../http/place.ts";
import { dispatch } from "./dispatch.ts";
import type { Edge } from "./edge.ts";
import { log } from "./log.ts";
import { failure, type Failure } from "../domain/result.ts";
import { checkSignal, toSignal, SocketAuth, SocketSignal } from "./schemas.ts";
import type { Caller } from "./tokens.ts";
import { watchProgress } from "./watch.ts";

const AUTH_TIMEOUT_MS = 5_000;
const MAX_UNDER_WAY = 64;
/**
 * Cloudflare allows a request six connections at once: a socket's other watchers poll each second
 * instead.
 */
const MAX_LISTENING = 2;
const POLICY_VIOLATION = 1008;
const GOING_AWAY = 1001;

export interface Socket {
  send(text: string): void;
  close(code: number, reason: string): void;
  /** Bytes that were sent and not read by the other side; 0 if the runtime does not report it. */
  unreadBytes(): number;
}

/** The events that the runtime reports for an open socket. */
export interface SocketEvents {
  open(socket: Socket): void;
  message(data: unknown): void;
  close(): void;
}

export function openSession(
  edge: Edge,
  later: (task: Promise<unknown>) => void,
  known: Caller | undefined,
): SocketEvents {
  const closed = new AbortController();
  let caller = known;
  let socket: Socket | undefined;
  let authTimer: ReturnType<typeof setTimeout> | undefined;
  let underWay = 0;
  let listening = 0;
  /** The end of the queue: each message is handled when those before it have been answered. */
  let queue: Promise<void> = Promise.resolve();

  const tell = (type: string, ref: string | undefined, body: object): void => {
    if (closed.signal.aborted) return;
    socket?.send(JSON.stringify({ type, ...(ref === undefined ? {} : { ref }), ...body }));
  };
  const refuse = ({ code, faults }: Failure, ref?: string): void => {
    // The problem's own `type` is its address; here `type` says what kind of message this is.
    const { type: about, ...problem } = problemOf(code, faults);
    tell("problem", ref, { ...problem, about });
  };
  const hangUp = (code: number, reason: string): void => {
    socket?.close(code, reason);
    closed.abort();
  };
  const goAway = (): void => {
    hangUp(GOING_AWAY, "the server is going away");
  };

  async function authenticate(message: unknown): Promise<void> {
    const auth = check(SocketAuth, message, "BODY_INVALID");
    const verified = auth.ok ? await edge.verifyToken(auth.value.token, edge.clock()) : auth;
    const allowed =
      verified.ok && !verified.value.permissions.has("signals:write")
        ? failure("TOKEN_SCOPE")
        : verified;
    if (!allowed.ok) {
      refuse(allowed);
      hangUp(POLICY_VIOLATION, allowed.code);
      return;
    }
    caller = allowed.value;
    clearTimeout(authTimer);
    tell("authenticated", undefined, {});
  }

  async function handle(data: unknown): Promise<void> {
    if (closed.signal.aborted) return;
    if (typeof data !== "string") {
      refuse(failure("BODY_TYPE_UNSUPPORTED"));
      return;
    }
    if (new TextEncoder().encode(data).length > MAX_BODY_BYTES) {
      refuse(failure("BODY_TOO_LARGE"));
      return;
    }
    const json = parseJson(data);
    if (json.ok && (json.value as { type?: unknown } | null)?.type === "auth") {
      await authenticate(json.value);
    } else if (!caller) {
      refuse(failure("TOKEN_MISSING"));
      hangUp(POLICY_VIOLATION, "TOKEN_MISSING");
    } else if (json.ok) {
      await takeSignal(json.value, caller);
    } else {
      refuse(json);
    }
  }

  async function takeSignal(message: unknown, { person, expiresAtMs }: Caller): Promise<void> {
    const checked = checkSignal(SocketSignal, message);
    if (!checked.ok) {
      refuse(checked, readRef(message));
      return;
    }
    const { idempotencyKey, ref, channel } = checked.value;
    if (expiresAtMs <= edge.clock()) {
      refuse(failure("TOKEN_EXPIRED"), ref);
      return;
    }
    if (underWay >= MAX_UNDER_WAY) {
      refuse(failure("SOCKET_FULL"), ref);
      return;
    }
    const accepted = await acceptSignal(edge, {
      signal: toSignal(channel as ChannelId, checked.value),
      sender: person,
      idempotencyKey,
    });
    if (!accepted.ok) {
      refuse(accepted, ref);
      return;
    }
    later(dispatch(edge, accepted.value));
    tell("accepted", ref, acceptanceAnswer(accepted.value.acceptance));
    underWay += 1;
    later(
      watch(accepted.value, ref).finally(() => {
        underWay -= 1;
      }),
    );
  }

  async function watch(accepted: Accepted, ref: string | undefined): Promise<void> {
    const stored = await findStored(edge, accepted);
    if (!stored) return;
    const listens = listening < MAX_LISTENING;
    if (listens) listening += 1;
    try {
      const options = { listening: listens };
      for await (const progress of watchProgress(edge, stored, closed.signal, options)) {
        tell("progress", ref, progress);
      }
    } finally {
      if (listens) listening -= 1;
    }
  }

  return {
    open(opened) {
      socket = opened;
      if (edge.stop.aborted) goAway();
      else edge.stop.addEventListener("abort", goAway);
      if (caller) return;
      authTimer = setTimeout(() => {
        refuse(failure("TOKEN_MISSING"));
        hangUp(POLICY_VIOLATION, "TOKEN_MISSING");
      }, AUTH_TIMEOUT_MS);
    },
    message(data) {
      queue = queue
        .then(() => handle(data))
        .catch((error: unknown) => {
          log.error("a message failed", { error: nameOf(error), at: placeOf(error) });
          refuse(failure("INTERNAL"));
        });
      later(queue);
    },
    close() {
      clearTimeout(authTimer);
      edge.stop.removeEventListener("abort", goAway);
      closed.abort();
    },
  };
}

/**
 * A repeated signal has the routes of its first acceptance, so they are read from where that stored
 * them.
 */
async function findStored(edge: Edge, accepted: Accepted): Promise<StoredSignal | undefined> {
  if (accepted.kind === "accepted") {
    const { signal, routes, acceptance } = accepted;
    return { signal, routes, followers: acceptance.followers };
  }
  const { id } = accepted.acceptance;
  const key = HomeKeys.ofSignal(id).signal(id);
  const read = await edge.home.readHashes([{ key, fields: STORED_SIGNAL_FIELDS }]);
  return read.ok ? parseStoredSignal(read.value[0]) : undefined;
}

function readRef(message: unknown): string | undefined {
  const ref = (message as { ref?: unknown } | null)?.ref;
  return typeof ref === "string" && ref.length <= 64 ? ref : undefined;
}

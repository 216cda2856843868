/**
 * Acceptance: one request to the home Redis, one atomic script. No broker is called in it. Signals
 * that cannot be served in time are refused at once.
 */
import { signalIdIn, type PersonId } from "../domain/ids.ts";
import type { Acceptance } from "../domain/copier/progress.ts";
import { canonicalBody, type Signal } from "../domain/copier/signal.ts";
import { accept, type Acceptance as StoredAcceptance, type AcceptReply } from "../redis/accept.ts";
import { HomeKeys } from "../redis/keys.ts";
import type { Edge } from "./edge.ts";
import { failure, success, type Result } from "../domain/result.ts";

/** A key that no sender knows cannot be repeated, so its answer is not stored. */
const UNTOLD_KEY_TTL_MS = 1_000;

/**
 * How many acceptances one edge may have in progress. At 500 a second there are a few. A longer
 * queue would only make each of them miss its deadline.
 */
export const MAX_UNDER_WAY = 128;
const underWay = new WeakMap<Edge, number>();

export interface AcceptRequest {
  readonly signal: Signal;
  readonly sender: PersonId;
  /** Without one, every request is a new signal. */
  readonly idempotencyKey?: string | undefined;
  readonly answerTtlMs?: number | undefined;
}

export type Accepted = Exclude<AcceptReply, { kind: "refused" }>;

export async function acceptSignal(edge: Edge, request: AcceptRequest): Promise<Result<Accepted>> {
  const others = underWay.get(edge) ?? 0;
  if (others >= MAX_UNDER_WAY) return failure("EDGE_BUSY");
  underWay.set(edge, others + 1);
  try {
    return await acceptNow(edge, request);
  } finally {
    underWay.set(edge, (underWay.get(edge) ?? 1) - 1);
  }
}

async function acceptNow(edge: Edge, request: AcceptRequest): Promise<Result<Accepted>> {
  const format = await edge.formats.check();
  if (!format.ok) return format;
  const { signal, sender, idempotencyKey, answerTtlMs } = request;
  const partition = edge.partitions.ofChannel(signal.channel);
  const keptMs = idempotencyKey === undefined ? UNTOLD_KEY_TTL_MS : answerTtlMs;
  const reply = await edge.home.run(accept, {
    id: signalIdIn(partition, edge.random()),
    home: new HomeKeys(partition),
    signal,
    sender,
    idempotencyKey: idempotencyKey ?? edge.random(),
    bodySha256: await edge.sha256(canonicalBody(signal)),
    ...(keptMs === undefined ? {} : { answerTtlMs: keptMs }),
  });
  if (!reply.ok) return reply;
  return reply.value.kind === "refused" ? failure(reply.value.code) : success(reply.value);
}

/** The answer's body: a repeated request gets the same fields in the same order. */
export function acceptanceAnswer(acceptance: StoredAcceptance): Acceptance {
  const { id, sequence, acceptedAtMs, followers } = acceptance;
  return { id, sequence, acceptedAtMs, followers };
}

/**
 * What each kind of hook reads from a request: a signal, and the key that identifies a repeated
 * delivery.
 */
import type { Signal } from "../../domain/copier/signal.ts";
import type { Hook } from "../../domain/copier/hook.ts";
import { failure, type Failure } from "../../domain/result.ts";

export interface Delivery {
  readonly signal: Signal;
  readonly idempotencyKey: string;
  readonly answerTtlMs?: number;
}

/** A request to a hook, read but not yet verified. */
export interface HookRequest {
  /** The part of the URL after the hook's id, `""` if there is none. */
  readonly secret: string;
  readonly headers: Headers;
  readonly mediaType: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A body that names a channel must name the hook's. */
export function channelFault(hook: Hook, channel: string | undefined): Failure | undefined {
  if (channel === undefined || channel === hook.channel) return undefined;
  return failure("BODY_INVALID", [
    { path: "channel", message: "must be the hook's channel, or absent" },
  ]);
}

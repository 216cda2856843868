/**
 * Where quotes come from. There are two kinds of source, and configuration
 * says which one serves which symbols; that a price is simulated is a label of
 * the configuration, never a difference in the code.
 */
import type { Quote } from "../../../domain/desk/quote.ts";

export type Answer =
  | {
      readonly kind: "quoted";
      readonly quote: Quote;
      /** The source's own mark on the answer, and in whose name it was asked: both belong in the audit. */
      readonly cryptokey: string;
      readonly user: string;
    }
  /** No connection: the question never reached the source. */
  | { readonly kind: "refused" }
  /** No whole answer in time. */
  | { readonly kind: "silent" }
  /** An answer that is not one to this question. */
  | { readonly kind: "garbage" };

/** A source that is asked for one symbol at a time, and is paid for each answer. */
export interface AskedSource {
  /** In the name of this user, or of the house. */
  ask(symbol: string, user?: string): Promise<Answer>;
}

/** A source that streams quotes of some symbols until the signal aborts. */
export interface StreamingSource {
  /** Whatever the source does in between, it comes back; nothing is delivered twice on purpose. */
  follow(onQuotes: (quotes: readonly Quote[]) => void, stop: AbortSignal): Promise<void>;
}

/** `tcp://host:port` in parts. */
export function addressOf(url: string): { readonly hostname: string; readonly port: number } {
  const { hostname, port } = new URL(url);
  return { hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port) };
}

/** Ends a connection, also one that only comes up later. */
export function discard(connecting: Promise<{ terminate(): void }>): void {
  connecting.then(
    (socket) => socket.terminate(),
    () => {},
  );
}

/**
 * The sources of quotes. There are two kinds, and the configuration says which source
 * serves which symbols. Whether a price is simulated is a label in the configuration,
 * never a difference in the code.
 */
import type { Quote } from "../../../domain/desk/quote.ts";

export type Answer =
  | {
      readonly kind: "quoted";
      readonly quote: Quote;
      /**
       * The source's own mark on the answer, and the name in which it was asked. The audit
       * records both.
       */
      readonly cryptokey: string;
      readonly user: string;
    }
  /** No connection: the question never arrived at the source. */
  | { readonly kind: "refused" }
  /** No complete answer in time. */
  | { readonly kind: "silent" }
  /** The reply is not an answer to this question. */
  | { readonly kind: "garbage" };

/** A source that is asked for one symbol at a time, and is paid for each answer. */
export interface AskedSource {
  /** In the name of this user, or of the house. */
  ask(symbol: string, user?: string): Promise<Answer>;
}

/** A source that streams quotes of some symbols until the signal aborts. */
export interface StreamingSource {
  /** It reconnects after every failure, and delivers nothing twice on purpose. */
  follow(onQuotes: (quotes: readonly Quote[]) => void, stop: AbortSignal): Promise<void>;
}

/** Splits `tcp://host:port` into its parts. */
export function addressOf(url: string): { readonly hostname: string; readonly port: number } {
  const { hostname, port } = new URL(url);
  return { hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port) };
}

/** Ends a connection, also one that opens only later. */
export function discard(connecting: Promise<{ terminate(): void }>): void {
  connecting.then(
    (socket) => socket.terminate(),
    () => {},
  );
}

/** A process's metrics for Prometheus: counters by name, and the server that shows them. */
import { Counter, Registry } from "prom-client";
import type { EntryResult } from "./consume.ts";

/** A counter that is used several times in a role is one counter with labels. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #entries: Counter<"stream" | "group" | "result">;

  constructor(role: string) {
    this.#registry.setDefaultLabels({ role });
    this.#entries = this.counter(
      "fanfare_entries_total",
      "Stream entries by kind of stream and group: handled, retried (left pending), or dead letters.",
      ["stream", "group", "result"],
    );
  }

  counter<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[] = [],
  ): Counter<Label> {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
  }

  /** Counts the results of entries, by `kind` of stream and not by its key. */
  entries(kind: string, group: string): (result: EntryResult, entries: number) => void {
    return (result, entries) => {
      if (entries > 0) this.#entries.inc({ stream: kind, group, result }, entries);
    };
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }
}

/** Serves `/metrics` until it is stopped. */
export function serveMetrics(
  metrics: Metrics,
  hostname: string,
  port: number,
): { stop(): Promise<void> } {
  return Bun.serve({
    hostname,
    port,
    async fetch(request) {
      if (new URL(request.url).pathname !== "/metrics") return new Response(null, { status: 404 });
      const headers = { "content-type": metrics.contentType };
      return new Response(await metrics.text(), { headers });
    },
  });
}

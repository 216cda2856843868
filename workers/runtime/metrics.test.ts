import { expect, test } from "bun:test";
import { readMetrics } from "../../tests/support/metrics.ts";
import { freePort } from "../../tests/support/ports.ts";
import { Metrics, serveMetrics } from "./metrics.ts";

test("entries are counted by their results", async () => {
  const metrics = new Metrics("recorder");
  const count = metrics.entries("events", "recorder");
  count("handled", 2);
  count("retried", 3);
  count("dead", 1);
  count("dead", 0);

  const port = await freePort();
  const server = serveMetrics(metrics, "127.0.0.1", port);
  const series = (result: string): string =>
    `fanfare_entries_total{stream="events",group="recorder",result="${result}"}`;
  expect(await readMetrics(port)).toEqual(
    new Map([
      [series("dead"), 1],
      [series("handled"), 2],
      [series("retried"), 3],
    ]),
  );
  expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(404);
  await server.stop();
});

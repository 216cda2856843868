import { expect, test } from "bun:test";
import { readMetrics } from "../../tests/support/metrics.ts";
import { freePort } from "../../tests/support/ports.ts";
import type { Entry } from "./entries.ts";
import { Metrics, serveMetrics } from "./metrics.ts";

const entry = (id: string): Entry => ({ id, fields: new Map() });

test("entries are counted by what became of them, and a handler's error goes on to the loop", async () => {
  const metrics = new Metrics("recorder");
  const handle = metrics.counted("events", "recorder", async (entries) => {
    if (entries.length === 3) throw new Error("away");
    return entries.map(({ id }) => (id === "bad" ? { dead: "not JSON" } : "done"));
  });
  expect(await handle([entry("1"), entry("bad")])).toEqual(["done", { dead: "not JSON" }]);
  expect(handle([entry("1"), entry("2"), entry("3")])).rejects.toThrow("away");
  await handle([entry("1")]);

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

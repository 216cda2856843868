/** Answers of the records API pass through the edge unchanged, on each runtime. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { RUNTIMES } from "./launch.ts";
import { startWorld } from "./world.ts";

setDefaultTimeout(60_000);

test.each(Object.entries(RUNTIMES))(
  "answers without a body, tags and preconditions pass through the edge on %s",
  async (_name, launch) => {
    const seen: Headers[] = [];
    const records = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch(request) {
        seen.push(request.headers);
        if (request.method === "DELETE") return new Response(null, { status: 204 });
        return request.headers.get("if-none-match") === '"7"'
          ? new Response(null, { status: 304, headers: { etag: '"7"' } })
          : Response.json({ version: 7 }, { headers: { etag: '"7"' } });
      },
    });
    const world = await startWorld();
    const edge = await launch({ ...world.settings, FANFARE_RECORDS_URL: records.url.href });
    try {
      const url = `${edge.url}/v1/subscriptions/sub_1`;
      const read = await fetch(url);
      expect([read.status, read.headers.get("etag"), await read.json()]).toEqual([
        200,
        '"7"',
        { version: 7 },
      ]);
      const known = await fetch(url, { headers: { "if-none-match": '"7"' } });
      expect([known.status, known.headers.get("etag"), await known.text()]).toEqual([
        304,
        '"7"',
        "",
      ]);
      const left = await fetch(url, { method: "DELETE", headers: { "if-match": '"7"' } });
      expect([left.status, await left.text()]).toEqual([204, ""]);
      expect(seen.at(-1)?.get("if-match")).toBe('"7"');
    } finally {
      await edge.stop();
      await world.stop();
      await records.stop(true);
    }
  },
);

/** An edge that is told to end finishes what is under way, and then ends. */
import { expect, test } from "bun:test";
import { until } from "../support/wait.ts";
import { connect, eventsOf, post, SIGNAL } from "./client.ts";
import { HOME } from "./harness.ts";
import { RUNTIMES } from "./launch.ts";
import { startWorld } from "./world.ts";

test.each(["Bun", "Deno"] as const)(
  "on SIGTERM the edge on %s ends its streams and sockets and exits with 0",
  async (name) => {
    const world = await startWorld();
    const edge = await RUNTIMES[name](world.settings);
    try {
      const bearer = { authorization: `Bearer ${await world.token()}` };
      const { body } = await post(`${edge.url}/v1/signals`, SIGNAL, bearer);
      const live = `${edge.url}/v1/signals/${String(body["id"])}/live`;
      const events = eventsOf(await fetch(live, { headers: bearer }));
      expect((await events.next()).value?.event).toBe("progress");
      const socket = await connect(`${edge.url}/v1/ws`, bearer);
      socket.send(SIGNAL);
      const answer = await socket.next();
      const startedAt = performance.now();
      expect(await edge.stop()).toBe(0);
      expect(performance.now() - startedAt).toBeLessThan(5_000);
      expect(await socket.closed).toBe(1001);
      expect((await world.jobs(String(answer["id"]))).length).toBeGreaterThan(0);
    } finally {
      await world.stop();
    }
  },
  30_000,
);

test("a dispatch that is under way is finished before the edge ends", async () => {
  const world = await startWorld();
  const arrived = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const slow = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      arrived.resolve();
      await released.promise;
      const { pathname } = new URL(request.url);
      const { method, headers } = request;
      return await fetch(String(world.settings["FANFARE_HOME_URL"]) + pathname, {
        method,
        headers,
        body: await request.text(),
      });
    },
  });
  const token = world.settings["FANFARE_HOME_TOKEN"];
  const edge = await RUNTIMES.Bun({
    ...world.settings,
    FANFARE_REGIONS: JSON.stringify({ local: { url: slow.url.href, token } }),
  });
  try {
    const bearer = { authorization: `Bearer ${await world.token()}` };
    const { body } = await post(`${edge.url}/v1/signals`, SIGNAL, bearer);
    await arrived.promise;
    const stopped = edge.stop();
    await until("the edge takes no more", async () =>
      fetch(`${edge.url}/healthz`).then(
        () => false,
        () => true,
      ),
    );
    released.resolve();
    expect(await stopped).toBe(0);
    const left = await world.client.send("ZSCORE", [HOME.undispatched, String(body["id"])]);
    expect(left).toBeNull();
  } finally {
    await slow.stop(true);
    await world.stop();
  }
});

test("an edge without its settings names all that is wrong and does not start", async () => {
  const child = Bun.spawn([process.execPath, "edge/entry-bun.ts"], {
    env: { FANFARE_HOME_URL: "ftp://x", FANFARE_TYPO: "1" },
    stderr: "pipe",
  });
  expect(await child.exited).toBe(2);
  const told = await new Response(child.stderr).text();
  expect(told).toContain("FANFARE_HOME_URL must be a URL starting with http: or https:");
  expect(told).toContain("FANFARE_SEAL_KEY is required");
  expect(told).toContain("FANFARE_TYPO is not a setting");
});

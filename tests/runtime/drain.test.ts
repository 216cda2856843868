/** An edge that is stopped finishes the work in progress, and then ends. */
import { expect, test } from "bun:test";
import { startPeer } from "../support/tcp.ts";
import { startTradingDesk } from "../support/trading-desk.ts";
import { until } from "../support/wait.ts";
import { connect, readEvents, post, SIGNAL } from "./client.ts";
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
      const events = readEvents(await fetch(live, { headers: bearer }));
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

test.each(["Bun", "Deno"] as const)(
  "on SIGTERM the edge on %s answers the desk's lines that it took, and then hangs up",
  async (name) => {
    const world = await startWorld();
    let answers: (() => void)[] = [];
    const asked = new Set<string>();
    const source = await startPeer((socket, question) => {
      const [symbol = "", user = ""] = question.trimEnd().split(",");
      asked.add(symbol);
      answers.push(() => void socket.end(`7.00,${symbol},${user},${Date.now()},c2VjcmV0\n`));
    });
    const desk = await startTradingDesk({ servers: 1, env: { FANFARE_QUOTES_ASKED: source.url } });
    const edge = await RUNTIMES[name]({
      ...world.settings,
      FANFARE_DESK_URLS: desk.servers[0]!.url,
      FANFARE_DESK_TOKEN: desk.token,
    });
    try {
      const bearer = async (sub: string) => ({
        authorization: `Bearer ${await world.token({ sub, scope: "desk:trade" })}`,
      });
      const command = async (sub: string, body: string): Promise<string> => {
        const init = { method: "POST", headers: await bearer(sub), body };
        return await (await fetch(`${edge.url}/v1/desk/commands`, init)).text();
      };
      for (const user of ["a", "b"]) await command(user, `ADD,${user},9.00`);
      const headers = await bearer("a");
      const socket = new WebSocket(`${edge.url.replace("http", "ws")}/v1/desk/ws`, { headers });
      const replies: string[] = [];
      socket.addEventListener("message", ({ data }) => void replies.push(String(data)));
      const closed = new Promise<number>((resolve) => {
        socket.addEventListener("close", ({ code }) => resolve(code));
      });
      await new Promise((resolve) => socket.addEventListener("open", resolve));
      socket.send("QUOTE,a,AA");
      const posted = command("b", "QUOTE,b,BB");
      await until("both wait for their quotes", () => asked.size === 2);
      const stopped = edge.stop();
      await until("the edge takes no more", () =>
        fetch(`${edge.url}/healthz`).then(
          () => false,
          () => true,
        ),
      );
      // A missing quote is requested again.
      const quoting = setInterval(() => {
        for (const answer of answers) answer();
        answers = [];
      }, 10);
      expect(await posted).toInclude('"priceCents":700');
      expect(await closed).toBe(1001);
      clearInterval(quoting);
      // Deno closes its sockets itself as soon as it stops accepting.
      if (name === "Bun") expect(replies.join("")).toInclude('"priceCents":700');
      expect(await stopped).toBe(0);
    } finally {
      await desk.stop();
      source.stop();
      await world.stop();
    }
  },
  30_000,
);

test("a dispatch in progress is finished before the edge ends", async () => {
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

test("an edge without its settings reports all faults and does not start", async () => {
  const child = Bun.spawn([process.execPath, "edge/entry-bun.ts"], {
    env: { FANFARE_HOME_URL: "ftp://x", FANFARE_TYPO: "1" },
    stderr: "pipe",
  });
  expect(await child.exited).toBe(2);
  const errors = await new Response(child.stderr).text();
  expect(errors).toContain("FANFARE_HOME_URL must be a URL starting with http: or https:");
  expect(errors).toContain("FANFARE_SEAL_KEY is required");
  expect(errors).toContain("FANFARE_TYPO is not a setting");
});

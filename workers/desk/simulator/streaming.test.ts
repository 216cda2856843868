import { afterEach, expect, test } from "bun:test";
import { freePort } from "../../../tests/support/ports.ts";
import { exchange } from "../../../tests/support/tcp.ts";
import { until } from "../../../tests/support/wait.ts";
import { walkingPrices } from "./prices.ts";
import { listenStreaming, type StreamServer } from "./streaming.ts";

const NOW = 1_800_000_000_123;
let server: StreamServer | undefined;

afterEach(() => server?.stop());

async function listen(): Promise<{ server: StreamServer; port: number }> {
  const port = await freePort();
  server = listenStreaming({ hostname: "127.0.0.1", port }, walkingPrices(1), () => NOW);
  return { server, port };
}

async function subscribe(port: number, request: string) {
  const lines: string[] = [];
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (opened) => void opened.write(request),
      data: (_socket, bytes) => void lines.push(...bytes.toString().trimEnd().split("\n")),
    },
  });
  return { socket, lines };
}

test("a subscriber gets a quote of each of its symbols at once and at each step, and of no other", async () => {
  const { server, port } = await listen();
  const { lines } = await subscribe(port, "SUBSCRIBE EUR/USD,USD/JPY\n");
  await until("the first quotes are there", () => lines.length === 2);
  server.publish(NOW + 200);
  await until("the next quotes are there", () => lines.length === 4);
  expect(lines[0]).toMatch(/^EUR\/USD,1\.\d{5},1800000000000$/);
  expect(lines[1]).toMatch(/^USD\/JPY,1\d\d\.\d{3},1800000000000$/);
  expect(lines[2]).toMatch(/^EUR\/USD,1\.\d{5},1800000000200$/);
});

test.each([
  "HELLO\n",
  "SUBSCRIBE \n",
  "SUBSCRIBE ABC\n",
  "SUBSCRIBE EUR/USD;\n",
  "S".repeat(2_000),
])("%p is no subscription: the connection ends without a quote", async (request) => {
  const { port } = await listen();
  expect(await exchange(port, request)).toBe("");
});

test("a client that does not read is disconnected, and the others still get quotes", async () => {
  const { server, port } = await listen();
  const all = "SUBSCRIBE EUR/USD,GBP/USD,USD/JPY,BTC/USD,R_100\n";
  const slow = await subscribe(port, all);
  await until("it is subscribed", () => slow.lines.length > 0);
  slow.socket.pause();
  const published = await until("the slow one is dropped", () => {
    for (let step = 0; step < 5_000 && server.clients() > 0; step += 1) server.publish(NOW);
    return server.clients() === 0;
  });
  expect(published).toBe(true);
  const other = await subscribe(port, all);
  await until("another client is served", () => other.lines.length >= 5);
});

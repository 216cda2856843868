import { afterEach, expect, test } from "bun:test";
import type { Quote } from "../../../domain/desk/quote.ts";
import { freePort } from "../../../tests/support/ports.ts";
import { startRole, type RoleProcess } from "../../../tests/support/role.ts";
import { startPeer, type Peer } from "../../../tests/support/tcp.ts";
import { until } from "../../../tests/support/wait.ts";
import { STEP_MS } from "../simulator/prices.ts";
import { priceMicrosAt } from "../simulator/walk.ts";
import { streamingSource } from "./streaming.ts";

const NOW = 1_800_000_000_000;
const SYMBOLS = ["EUR/USD", "R_100"];

let peer: Peer | undefined;
let stop: AbortController;
let following: Promise<void> | undefined;

afterEach(async () => {
  stop.abort();
  await following;
  peer?.stop();
});

function follow(url: string, { silenceMs = 2_000, now = (): number => NOW } = {}): Quote[] {
  const quotes: Quote[] = [];
  stop = new AbortController();
  const source = streamingSource({ url, symbols: SYMBOLS, silenceMs, now, random: () => 0 });
  following = source.follow((arrived) => void quotes.push(...arrived), stop.signal);
  return quotes;
}

test("quotes are read wherever the stream is cut; lines that are no quote of a wanted symbol are dropped", async () => {
  peer = await startPeer(async (socket) => {
    for (const piece of [
      `EUR/USD,1.08423,${NOW - 9}\nR_1`,
      `00,1480.25,${NOW - 8}\nhello\n\nEUR/USD,0.00000,${NOW - 7}\nGBP/USD,1.27,${NOW - 6}\n`,
      `EUR/USD,-1.08,${NOW - 5}\n${"x".repeat(200)}\nEUR/USD,1.08424,`,
      `${NOW - 4}\n`,
    ]) {
      socket.write(piece);
      await Bun.sleep(5);
    }
  });
  const quotes = follow(peer.url);
  await until("three quotes arrived", () => quotes.length === 3);
  expect(quotes).toEqual([
    { symbol: "EUR/USD", priceMicros: 1_084_230, sourceTimeMs: NOW - 9 },
    { symbol: "R_100", priceMicros: 1_480_250_000, sourceTimeMs: NOW - 8 },
    { symbol: "EUR/USD", priceMicros: 1_084_240, sourceTimeMs: NOW - 4 },
  ]);
  expect(peer.heard).toEqual(["SUBSCRIBE EUR/USD,R_100\n"]);
});

test("a source time in the future counts as now", async () => {
  peer = await startPeer((socket) => void socket.write(`R_100,1480.25,${NOW + 3_600_000}\n`));
  const quotes = follow(peer.url);
  await until("the quote arrived", () => quotes.length === 1);
  expect(quotes[0]?.sourceTimeMs).toBe(NOW);
});

test.each<[string, Parameters<typeof startPeer>[0]]>([
  ["silence", () => {}],
  [
    "nothing but garbage",
    async (socket) => {
      while (socket.write("?\n") > 0) await Bun.sleep(10);
    },
  ],
  ["a line without end", (socket) => void socket.write("x".repeat(1_000))],
  ["the end", (socket) => void socket.end()],
])("after %s the stream is made anew", async (_what, act) => {
  let connections = 0;
  peer = await startPeer(async (socket, heard) => {
    connections += 1;
    if (connections === 1) await act(socket, heard);
    else socket.write(`R_100,1480.25,${NOW}\n`);
  });
  const quotes = follow(peer.url, { silenceMs: 100 });
  await until("a quote arrived", () => quotes.length > 0);
  expect(connections).toBeGreaterThan(1);
});

test("a simulator that was killed and started again is followed again, on the same walk", async () => {
  const port = await freePort();
  const env = {
    FANFARE_SIMULATOR_ASKED_PORT: String(await freePort()),
    FANFARE_SIMULATOR_STREAMING_PORT: String(port),
    FANFARE_SIMULATOR_SEED: "7",
  };
  let simulator: RoleProcess = await startRole("simulator", env);
  const quotes = follow(`tcp://127.0.0.1:${port}`, { now: Date.now });
  await until("quotes arrive", () => quotes.length >= SYMBOLS.length * 2);
  await simulator.kill();
  const before = quotes.length;
  simulator = await startRole("simulator", env);
  await until("quotes arrive again", () => quotes.length >= before + SYMBOLS.length * 2);
  for (const { symbol, priceMicros, sourceTimeMs } of quotes) {
    expect(priceMicros).toBe(priceMicrosAt(7, symbol, sourceTimeMs / STEP_MS));
  }
  expect(await simulator.stop()).toBe(0);
});

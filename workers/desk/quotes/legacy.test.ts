import { afterEach, expect, test } from "bun:test";
import { freePort } from "../../../tests/support/ports.ts";
import { startPeer, type Peer } from "../../../tests/support/tcp.ts";
import { until } from "../../../tests/support/wait.ts";
import { legacySource } from "./legacy.ts";
import type { Answer } from "./port.ts";

const QUOTED: Answer = {
  kind: "quoted",
  quote: { symbol: "ABC", priceMicros: 12_340_000, sourceTimeMs: 1_583_452_412_110 },
  cryptokey: "c2VjcmV0",
  user: "me",
};
const LINE = "12.34,ABC,me,1583452412110,c2VjcmV0";

let peer: Peer | undefined;
afterEach(() => peer?.stop());

async function ask(act: Parameters<typeof startPeer>[0], timeoutMs = 2_000): Promise<Answer> {
  peer = await startPeer(act);
  return await legacySource({ url: peer.url, user: "me", timeoutMs }).ask("ABC");
}

test("a question is one line, and its answer becomes a quote", async () => {
  expect(await ask((socket) => void socket.end(`${LINE}\n`))).toEqual(QUOTED);
  expect(peer?.heard).toEqual(["ABC,me\n"]);
});

test("an answer in pieces is put together", async () => {
  const answer = await ask(async (socket) => {
    for (const piece of ["12.", "34,ABC,me,158345", "2412110,c2Vj", "cmV0", "\n"]) {
      socket.write(piece);
      socket.flush();
      await Bun.sleep(5);
    }
  });
  expect(answer).toEqual(QUOTED);
});

test("the newline may be missing at the end of the stream", async () => {
  expect(await ask((socket) => void socket.end(LINE))).toEqual(QUOTED);
});

test.each([
  ["an answer to another question", "12.34,ABD,me,1583452412110,c2VjcmV0\n"],
  ["an answer to another user", "12.34,ABC,you,1583452412110,c2VjcmV0\n"],
  ["a price of zero", "0.00,ABC,me,1583452412110,c2VjcmV0\n"],
  ["a negative price", "-12.34,ABC,me,1583452412110,c2VjcmV0\n"],
  ["another protocol", "HTTP/1.1 400 Bad Request\r\n\r\n"],
  ["half a line and the end", "12.34,ABC,me,15834"],
  ["an end without an answer", ""],
  ["a line without end", "1".repeat(4_096)],
])("%s is garbage, and no price", async (_what, text) => {
  expect(await ask((socket) => void socket.end(text))).toEqual({ kind: "garbage" });
});

test("silence ends at the time-out, and so does an answer that stops halfway", async () => {
  expect(await ask(() => {}, 50)).toEqual({ kind: "silent" });
  peer?.stop();
  expect(await ask((socket) => void socket.write("12.34,ABC"), 50)).toEqual({ kind: "silent" });
});

test("a connection is closed once its question has timed out", async () => {
  let closed = false;
  const port = await freePort();
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port,
    socket: { data: () => {}, close: () => void (closed = true) },
  });
  const source = legacySource({ url: `tcp://127.0.0.1:${port}`, user: "me", timeoutMs: 50 });
  expect(await source.ask("ABC")).toEqual({ kind: "silent" });
  await until("it is closed", () => closed);
  server.stop(true);
});

test("a missing server counts as refused", async () => {
  const url = `tcp://127.0.0.1:${await freePort()}`;
  const source = legacySource({ url, user: "me", timeoutMs: 2_000 });
  expect(await source.ask("ABC")).toEqual({ kind: "refused" });
});

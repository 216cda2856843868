/**
 * The answers of a server before it is lost decide which lines may go to another. Each server here
 * is a real HTTP server with a prescribed behaviour.
 */
import { createServer, type Server } from "node:net";
import { afterEach, expect, test } from "bun:test";
import { relay, type Sender } from "./relay.ts";
import { DeskServers } from "./servers.ts";

const HEAD = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
const WELL = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
const LINES = ["[1] ADD,a,1.00", "[2] ADD,b,1.00", "[3] ADD,c,1.00"];
const started: Server[] = [];
afterEach(() => {
  for (const each of started.splice(0)) each.close();
});

/**
 * Answers the given number of lines, then ends its answer completely, or breaks the answer off once
 * they have been read.
 */
async function deskServer(answers: number, end: "whole" | "broken") {
  const taken: string[] = [];
  const server = createServer((socket) => {
    socket.once("data", (bytes) => {
      const [head = "", body = ""] = bytes.toString().split("\r\n\r\n");
      if (head.startsWith("GET /healthz")) {
        socket.end(WELL);
        return;
      }
      const lines = body.trim().split("\n").slice(0, answers);
      taken.push(...lines);
      const replies = lines.map((line) => `{"line":"${line}"}\n`).join("");
      const chunk = replies === "" ? "" : `${replies.length.toString(16)}\r\n${replies}\r\n`;
      socket.write(HEAD + chunk, () => {
        if (end === "whole") socket.end("0\r\n\r\n");
        else setTimeout(() => socket.destroy(), 100);
      });
    });
  });
  started.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { url: `http://127.0.0.1:${address.port}`, taken };
}

async function send(first: { url: string }, second: { url: string }, session = "") {
  // The first request goes to the first server.
  const urls = [first.url, second.url];
  const servers = new DeskServers({ urls, token: "t", clock: Date.now });
  const sender: Sender = { servers, person: "p", user: "", session, later: () => {} };
  const replies: string[] = [];
  for await (const some of relay(sender, LINES)) replies.push(...some);
  return replies.map(
    (each) => JSON.parse(each) as { readonly line?: string; readonly code?: string },
  );
}

test("another server executes the lines that a stopping server has not taken, with or without numbers", async () => {
  const [stops, other] = [await deskServer(1, "whole"), await deskServer(9, "whole")];
  expect((await send(stops, other)).map(({ line }) => line)).toEqual(LINES);
  expect([stops.taken, other.taken]).toEqual([LINES.slice(0, 1), LINES.slice(1)]);
});

test("unanswered lines of a broken answer go to another server only with a session", async () => {
  const [breaks, other] = [await deskServer(1, "broken"), await deskServer(9, "whole")];
  const [first, ...rest] = await send(breaks, other);
  expect(first?.line).toBe("[1] ADD,a,1.00");
  expect(rest.map(({ code }) => code)).toEqual(["OUTCOME_UNKNOWN", "OUTCOME_UNKNOWN"]);
  expect(other.taken).toEqual([]);
  expect((await send(breaks, other, "s")).map(({ line }) => line)).toEqual(LINES);
  expect(other.taken).toEqual(LINES.slice(1));
});

test("if no server answers, the sender learns that nothing was done", async () => {
  const absent = { url: "http://127.0.0.1:1" };
  expect((await send(absent, absent)).map(({ code }) => code)).toEqual([
    "DESK_UNAVAILABLE",
    "DESK_UNAVAILABLE",
    "DESK_UNAVAILABLE",
  ]);
}, 10_000);

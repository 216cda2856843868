/**
 * The line protocol of a running desk server, by HTTP and by WebSocket, from correct and faulty
 * senders.
 */
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { openDeskSocket } from "../support/desk-socket.ts";
import {
  parseReplies,
  sendLines,
  startTradingDesk,
  type TradingDesk,
} from "../support/trading-desk.ts";
import { startPeer } from "../support/tcp.ts";
import { until } from "../support/wait.ts";

let desk: TradingDesk;
beforeAll(async () => {
  desk = await startTradingDesk({ servers: 1, prices: { ABC: "5.00" } });
}, 30_000);
afterAll(() => desk.stop());

const send = (lines: readonly string[], session?: string) =>
  sendLines(desk.servers[0]!, desk.token, lines, session);
const commandsUrl = () => `${desk.servers[0]!.url}/v1/desk/commands`;
const bearer = () => ({ authorization: `Bearer ${desk.token}` });

/** Wrong lines of senders, and the error for each. */
const BAD: readonly (readonly [line: string | Uint8Array<ArrayBuffer>, code: string])[] = [
  ["[9962] ADD,bad,-73280.58 ", "AMOUNT_INVALID"],
  ["ADD,bad,0.00", "AMOUNT_INVALID"],
  ["ADD,bad,99999999999999999999.00", "AMOUNT_INVALID"],
  ["ADD,bad,1.005", "AMOUNT_INVALID"],
  ["BUY,bad,abc,1.00", "SYMBOL_INVALID"],
  ["HELLO,bad", "COMMAND_UNKNOWN"],
  ["BUY,unknown,ABC,10.00", "USER_UNKNOWN"],
  ["BUY,bad,ABC", "ARGUMENTS_WRONG"],
  ["BUY,bad,ABC,1.00,1.00", "ARGUMENTS_WRONG"],
  ["DUMPLOG,../../etc/passwd", "FILE_INVALID"],
  [`ADD,bad,${"1".repeat(1024 * 1024)}`, "LINE_TOO_LONG"],
  [new Uint8Array([65, 68, 68, 44, 0xff, 0xfe, 0xc3]), "LINE_NOT_TEXT"],
];

describe("lines by HTTP", () => {
  test("get replies one by one in their order, for any users", async () => {
    const lines = Array.from({ length: 3_000 }, (_, n) => `[${n + 1}] ADD,order${n % 50},1.00`);
    const replies = await send(lines);
    expect(replies.map(({ n }) => n)).toEqual(lines.map((_, index) => index + 1));
    expect(replies.at(-1)).toMatchObject({ ok: true, balanceCents: 6_000 });
  });

  test("get replies while more lines arrive", async () => {
    const heard: string[] = [];
    const socket = connect(Number(new URL(commandsUrl()).port), "127.0.0.1");
    socket.on("data", (bytes) => void heard.push(bytes.toString()));
    const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;
    socket.write(
      `POST /v1/desk/commands HTTP/1.1\r\nHost: desk\r\nAuthorization: Bearer ${desk.token}\r\n` +
        `Transfer-Encoding: chunked\r\n\r\n${chunk("[1] ADD,duplex,1.00\n[2] ADD,dup")}`,
    );
    await until("the first is answered", () => heard.join("").includes('"n":1'));
    expect(heard.join("")).not.toInclude('"n":2');
    socket.write(chunk("lex,2.00\n"));
    await until("so is the second", () => heard.join("").includes('"balanceCents":300'));
    socket.write(`${chunk("[3] ADD,duplex,3.00")}0\r\n\r\n`);
    await until("and one without its newline", () => heard.join("").includes('"balanceCents":600'));
    socket.destroy();
  });

  test("that are wrong each get a clear error, are audited, change nothing, and later lines are executed", async () => {
    const parts = [
      "ADD,bad,1.00\r\n",
      "\r\n",
      ...BAD.flatMap(([line]) => [line, "\n"]),
      "ADD,bad,1.00",
    ];
    const response = await fetch(commandsUrl(), {
      method: "POST",
      headers: bearer(),
      body: new Blob(parts),
    });
    const replies = parseReplies(await response.text());
    expect(replies.map(({ code }) => code)).toEqual([
      undefined,
      ...BAD.map(([, code]) => code),
      undefined,
    ]);
    expect(replies.at(-1)).toMatchObject({ balanceCents: 200 });
    for (const { code, message, transaction } of replies.slice(1, -1)) {
      expect([code, typeof message, transaction]).toEqual([code, "string", expect.any(Number)]);
    }
    const log = await (
      await fetch(`${desk.servers[0]!.url}/v1/desk/log?user=bad`, { headers: bearer() })
    ).text();
    // Those whose user and command could be read. The others are in no user's audit.
    expect(log.match(/<errorEvent>/g)).toHaveLength(7);
  });

  test("of a sender that does not read are no longer accepted, and other senders never wait for it", async () => {
    const socket = connect(Number(new URL(commandsUrl()).port), "127.0.0.1");
    socket.pause();
    socket.write(
      `POST /v1/desk/commands HTTP/1.1\r\nHost: desk\r\nAuthorization: Bearer ${desk.token}\r\n` +
        "Transfer-Encoding: chunked\r\n\r\n",
    );
    const text = "DISPLAY_SUMMARY,order1\n".repeat(3_000);
    const chunk = `${text.length.toString(16)}\r\n${text}\r\n`;
    let stuck = false;
    // The buffers in between took from 111 to more than 200 chunks in earlier runs.
    for (let count = 0; count < 1_000 && !stuck; count += 1) {
      stuck = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(true), 1_000);
        socket.write(chunk, () => {
          clearTimeout(timer);
          resolve(false);
        });
      });
    }
    expect(stuck).toBe(true);
    const before = performance.now();
    expect(await send(["ADD,other,1.00"])).toMatchObject([{ ok: true }]);
    expect(performance.now() - before).toBeLessThan(1_000);
    socket.destroy();
  }, 30_000);

  test("with a session are executed once", async () => {
    const first = await send(["[1] ADD,once,1.00", "[2] ADD,once,1.00"], "s1");
    expect(await send(["[2] ADD,once,1.00"], "s1")).toEqual(first.slice(1));
    expect(await send(["[1] ADD,once,1.00"], "s1")).toMatchObject([{ code: "COMMAND_OVERTAKEN" }]);
    expect(await send(["[1] ADD,once,1.00"], "s2")).toMatchObject([{ balanceCents: 300 }]);
  });

  test("are refused without the desk's token, or with an invalid session name", async () => {
    const options = { method: "POST", body: "ADD,thief,1.00" };
    expect((await fetch(commandsUrl(), options)).status).toBe(401);
    const headers = { ...bearer(), "command-session": "not a name" };
    expect((await fetch(commandsUrl(), { ...options, headers })).status).toBe(400);
    const ws = commandsUrl().replace("http", "ws").replace("commands", "ws");
    const refused = new WebSocket(ws);
    await new Promise((resolve) => refused.addEventListener("close", resolve));
  });
});

describe("lines by WebSocket", () => {
  test("get replies with their numbers, several in a message", async () => {
    const socket = await openDeskSocket(desk.servers[0]!, desk.token);
    const replies = await Promise.all(
      Array.from({ length: 500 }, (_, index) => socket.send(`ADD,ws${index % 10},1.00`)),
    );
    expect(replies.map(({ n }) => n)).toEqual(replies.map((_, index) => index + 1));
    expect(replies.at(-1)).toMatchObject({ balanceCents: 5_000 });
    socket.close();
  });

  test.each(["a message each", "one message"])(
    "that are wrong get a clear error each, are audited, change nothing, and the rest is executed (%s)",
    async (how) => {
      const user = how === "one message" ? "wsbad1" : "wsbad2";
      const named = (line: string | Uint8Array<ArrayBuffer>) =>
        Buffer.from(line).toString("latin1").replace(",bad", `,${user}`);
      const lines = [`ADD,${user},1.00`, ...BAD.map(([line]) => named(line)), `ADD,${user},1.00`];
      const socket = new WebSocket(commandsUrl().replace("http", "ws").replace("commands", "ws"), {
        headers: bearer(),
      });
      const replies: ReturnType<typeof parseReplies> = [];
      socket.addEventListener("message", ({ data }) => void replies.push(...parseReplies(data)));
      await new Promise((resolve) => socket.addEventListener("open", resolve));
      const messages = how === "one message" ? [lines.join("\n")] : lines;
      // As bytes: some of them are not text.
      for (const each of messages) socket.send(Buffer.from(each, "latin1"));
      await until("all are answered", () => replies.length === lines.length);
      const codes = replies.flatMap(({ code }) => code ?? []);
      expect(codes.toSorted()).toEqual(BAD.map(([, code]) => code).toSorted());
      for (const { code, message, transaction } of replies.filter(({ ok }) => !ok)) {
        expect([code, typeof message, transaction]).toEqual([code, "string", expect.any(Number)]);
      }
      const [summary] = await send([`DISPLAY_SUMMARY,${user}`]);
      expect(summary).toMatchObject({ balanceCents: 200, reservedCents: 0, holdings: [] });
      const log = await fetch(`${desk.servers[0]!.url}/v1/desk/log?user=${user}`, {
        headers: bearer(),
      });
      expect((await log.text()).match(/<errorEvent>/g)).toHaveLength(7);
      socket.close();
    },
  );

  test("of a sender that does not read end its connection, and other senders never wait for it", async () => {
    const { port } = new URL(commandsUrl());
    const socket = connect(Number(port), "127.0.0.1");
    let over = false;
    socket.on("error", () => (over = true));
    socket.on("close", () => (over = true));
    const key = Buffer.from(crypto.randomUUID().slice(0, 16)).toString("base64");
    socket.write(
      `GET /v1/desk/ws HTTP/1.1\r\nHost: desk\r\nAuthorization: Bearer ${desk.token}\r\n` +
        `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
        `Sec-WebSocket-Key: ${key}\r\n\r\n`,
    );
    await new Promise((resolve) => socket.once("data", resolve));
    socket.pause();
    await send(["ADD,deaf,1.00"]);
    const text = Buffer.from("DISPLAY_SUMMARY,deaf\n".repeat(400));
    // A binary message, masked with zeros.
    const head = Buffer.from([0x82, 0xfe, text.length >> 8, text.length & 0xff, 0, 0, 0, 0]);
    await until(
      "the connection is closed",
      async () => {
        socket.write(Buffer.concat([head, text]));
        expect(await send(["ADD,other,1.00"])).toMatchObject([{ ok: true }]);
        return over;
      },
      25_000,
    );
  }, 30_000);

  test("a log of all users contains every command sent before it on the same socket", async () => {
    const socket = await openDeskSocket(desk.servers[0]!, desk.token);
    const adds = Array.from({ length: 40 }, (_, index) => socket.send(`ADD,before${index},1.00`));
    const dump = socket.send("DUMPLOG,./ws.xml");
    const after = socket.send("ADD,after,1.00");
    expect(await dump).toMatchObject({ ok: true, file: "ws.xml" });
    await Promise.all([...adds, after]);
    const log = await Bun.file(`${desk.data}/dumps/ws.xml`).text();
    expect(log.match(/<username>before\d+<\/username>\s*<funds>/g)).toHaveLength(80);
    socket.close();
  });
});

describe("lines of one user", () => {
  const post = async (lines: readonly string[], user: string, session = "s") => {
    const headers = { ...bearer(), "desk-user": user, "command-session": session };
    const body = lines.join("\n");
    const response = await fetch(commandsUrl(), { method: "POST", headers, body });
    return parseReplies(await response.text());
  };
  const readEvents = async (user: string): Promise<{ refusal?: string }[]> => {
    const events: { refusal?: string }[] = [];
    for (let next: string | null = ""; next !== null;) {
      const url = `${desk.servers[0]!.url}/v1/desk/events?user=${user}&after=${next}`;
      const page = (await (await fetch(url, { headers: bearer() })).json()) as {
        events: { refusal?: string }[];
        next: string | null;
      };
      events.push(...page.events);
      next = page.next;
    }
    return events;
  };

  test("write no log to a file: only the sender with the desk's token may write files", async () => {
    await send(["ADD,dumper,1.00"]);
    const headers = { ...bearer(), "desk-sender": "an-administrator" };
    const body = "DUMPLOG,dumper,x.xml\nDUMPLOG,x.xml";
    const asAdmin = await fetch(commandsUrl(), { method: "POST", headers, body });
    const refused = [
      ...(await post(["DUMPLOG,dumper,x.xml"], "dumper")),
      ...parseReplies(await asAdmin.text()),
    ];
    expect(refused.map(({ code }) => code)).toEqual(Array(3).fill("DUMP_FORBIDDEN"));
    expect(refused[0]?.["message"]).toInclude("GET /v1/desk/log");
    expect(await Bun.file(`${desk.data}/dumps/x.xml`).exists()).toBe(false);
    expect(await send(["DUMPLOG,dumper,x.xml"])).toMatchObject([{ ok: true, file: "x.xml" }]);
    const log = await Bun.file(`${desk.data}/dumps/@dumper/x.xml`).text();
    expect(log.match(/<errorEvent>/g)).toHaveLength(2);
  });

  test("beyond the rate are refused with a code and not executed, may be sent again, and few of them are audited", async () => {
    const own = await startTradingDesk({
      servers: 1,
      audit: false,
      env: { FANFARE_DESK_LINES_PER_SECOND: "25" },
    });
    const headers = { authorization: `Bearer ${own.token}` };
    const url = `${own.servers[0]!.url}/v1/desk/commands`;
    const adds = Array.from({ length: 1_000 }, (_, index) => `[${index + 1}] ADD,eager,1.00`);
    const as = async (lines: readonly string[], sender: Record<string, string>) => {
      const init = { method: "POST", headers: { ...headers, ...sender }, body: lines.join("\n") };
      return parseReplies(await (await fetch(url, init)).text());
    };
    const eager = { "desk-user": "eager", "command-session": "s" };
    const replies = await as(adds, eager);
    expect(replies.map(({ n }) => n)).toEqual(adds.map((_, index) => index + 1));
    expect(replies.slice(0, 100).every(({ ok }) => ok)).toBe(true);
    const over = replies.slice(100).filter(({ code }) => code === "LINES_TOO_MANY");
    expect(over.length).toBeGreaterThan(700);
    // Other users continue, and so do senders for many users, at any rate.
    expect(await as(["ADD,calm,1.00"], { "desk-user": "calm" })).toMatchObject([{ ok: true }]);
    expect((await as(adds, {})).every(({ ok }) => ok)).toBe(true);
    const done = replies.findLastIndex(({ ok }) => ok);
    await until(
      "a refused line is executed when it is sent again",
      async () => (await as([adds[done + 1]!], eager))[0]?.ok === true,
      10_000,
    );
    const [, keys] = (await own.client.send("SCAN", ["0", "MATCH", "*audit", "COUNT", "1000"])) as [
      string,
      string[],
    ];
    let audited = 0;
    for (const key of keys) {
      const entries = (await own.client.send("XRANGE", [key, "-", "+"])) as [string, string[]][];
      for (const [, fields] of entries) {
        audited += fields.join("\n").match(/,LINES_TOO_MANY/g)?.length ?? 0;
      }
    }
    expect(audited).toBeWithin(1, 101);
    await own.stop();
  }, 30_000);

  test("that are refused each get a reply, and a hundred a minute are audited", async () => {
    await send(["ADD,clumsy,1.00"]);
    const bad = Array.from({ length: 300 }, (_, index) => `[${index + 1}] ADD,clumsy,-1.00`);
    const replies = await post([...bad, "[301] ADD,clumsy,1.00"], "clumsy");
    expect(replies.slice(0, -1).every(({ code }) => code === "AMOUNT_INVALID")).toBe(true);
    expect(replies.at(-1)).toMatchObject({ ok: true, balanceCents: 200 });
    const events = await readEvents("clumsy");
    expect(events.filter(({ refusal }) => refusal === "AMOUNT_INVALID")).toHaveLength(100);
  });
});

test("a command that waits for a quote delays its user and no other", async () => {
  const asked: string[] = [];
  let answer = (): void => {};
  const source = await startPeer((socket, question) => {
    const [symbol = "", user = ""] = question.trimEnd().split(",");
    asked.push(symbol);
    answer = () => void socket.end(`7.00,${symbol},${user},${Date.now()},c2VjcmV0\n`);
  });
  const slow = await startTradingDesk({ servers: 1, env: { FANFARE_QUOTES_ASKED: source.url } });
  const socket = await openDeskSocket(slow.servers[0]!, slow.token);
  await Promise.all([socket.send("ADD,u,100.00"), socket.send("ADD,v,100.00")]);
  const order: string[] = [];
  const noted = (name: string, line: string) =>
    socket.send(line).then((reply) => {
      order.push(name);
      return reply;
    });
  const waits = [
    noted("u buys", "BUY,u,ZZ,70.00"),
    noted("u commits", "COMMIT_BUY,u"),
    noted("v adds", "ADD,v,1.00"),
  ];
  await until("it is asked", () => asked.length > 0);
  await until("the other is served", () => order.length === 1);
  answer();
  expect(await Promise.all(waits)).toMatchObject([
    { shares: 10 },
    { balanceCents: 3_000 },
    { balanceCents: 10_100 },
  ]);
  expect(order).toEqual(["v adds", "u buys", "u commits"]);
  socket.close();
  await slow.stop();
  source.stop();
}, 20_000);

test("a stopping desk replies to what it accepted, and closes the connection", async () => {
  const own = await startTradingDesk({ servers: 1, prices: { ABC: "5.00" } });
  const socket = await openDeskSocket(own.servers[0]!, own.token);
  expect(await socket.send("ADD,u,1.00")).toMatchObject({ ok: true });
  const idle = connect(Number(new URL(own.servers[0]!.url).port), "127.0.0.1");
  const heard: string[] = [];
  idle.on("data", (bytes) => void heard.push(bytes.toString()));
  const ended = new Promise((resolve) => idle.on("close", resolve));
  idle.write(
    `POST /v1/desk/commands HTTP/1.1\r\nHost: desk\r\nAuthorization: Bearer ${own.token}\r\n` +
      "Transfer-Encoding: chunked\r\n\r\n13\r\n[1] ADD,idle,1.00\r\n\r\n",
  );
  await until("the stream is open", () => heard.join("").includes('"n":1'));
  const last = socket.send("ADD,u,2.00").catch((error: unknown) => error);
  const before = performance.now();
  await own.stop();
  expect(performance.now() - before).toBeLessThan(8_000);
  // Some lines are accepted and some are not. Every reply that came is right.
  const reply = await last;
  expect(reply instanceof Error || (reply as { balanceCents: number }).balanceCents === 300).toBe(
    true,
  );
  idle.destroy();
  await ended;
}, 20_000);

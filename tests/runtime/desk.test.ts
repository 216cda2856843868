/**
 * The desk through the edge on each runtime: real desk servers behind it, which are suspended,
 * killed and restarted.
 */
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  parseReplies,
  sendLines,
  startTradingDesk,
  type DeskReply,
  type TradingDesk,
} from "../support/trading-desk.ts";
import { until } from "../support/wait.ts";
import { readAnswer, post, type Answer } from "./client.ts";
import { expectProblem } from "./harness.ts";
import { RUNTIMES, type RunningEdge } from "./launch.ts";
import { startWorld, type World } from "./world.ts";

const START_TIMEOUT_MS = 60_000;
const FAILOVER_TIMEOUT_MS = 60_000;

let world: World;
let desk: TradingDesk;
beforeAll(async () => {
  world = await startWorld();
  desk = await startTradingDesk({ servers: 2, prices: { ABC: "5.00" } });
}, START_TIMEOUT_MS);
afterAll(async () => {
  await desk.stop();
  await world.stop();
});

describe.each(Object.entries(RUNTIMES))("on %s", (runtime, launch) => {
  let edge: RunningEdge;
  let admin: Headers;
  type Headers = Record<string, string>;
  const ours = (name: string): string => `${name}${runtime}`;
  const bearer = async (person: string, scope = "desk:trade"): Promise<Headers> => ({
    authorization: `Bearer ${await world.token({ sub: person, scope })}`,
  });

  beforeAll(async () => {
    edge = await launch({
      ...world.settings,
      FANFARE_DESK_URLS: desk.servers.map(({ url }) => url).join(","),
      FANFARE_DESK_TOKEN: desk.token,
    });
    admin = await bearer("an-administrator", "desk:trade desk:admin");
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    await edge.stop();
  });

  async function lines(
    all: readonly (string | Uint8Array<ArrayBuffer>)[],
    headers: Headers,
  ): Promise<DeskReply[]> {
    const body = new Blob(all.flatMap((line) => [line, "\n"]));
    const init = { method: "POST", headers: { "content-type": "text/plain", ...headers }, body };
    const response = await fetch(`${edge.url}/v1/desk/commands`, init);
    if (response.status !== 200) throw new Error(`the edge answered ${response.status}`);
    return parseReplies(await response.text());
  }
  const get = async (path: string, headers: Headers): Promise<Answer> =>
    await readAnswer(await fetch(edge.url + path, { headers }));
  const json = async (body: unknown, headers: Headers): Promise<Answer> =>
    await post(`${edge.url}/v1/desk/commands`, body, headers);
  async function readBalance(user: string): Promise<number> {
    const [said] = await sendLines(desk.servers.at(-1) ?? { url: "" }, desk.token, [
      `DISPLAY_SUMMARY,${user}`,
    ]);
    return Number(said?.["balanceCents"]);
  }

  test("lines are answered one by one in their order, in any number", async () => {
    const all = Array.from(
      { length: 3_000 },
      (_, n) => `[${n + 1}] ADD,${ours("many")}${n % 30},1.00`,
    );
    const replies = await lines(all, admin);
    expect(replies.map(({ n }) => n)).toEqual(all.map((_, index) => index + 1));
    expect(replies.at(-1)).toMatchObject({ ok: true, balanceCents: 10_000 });
  });

  test("lines are answered while more are still to come", async () => {
    const heard: string[] = [];
    const user = ours("duplex");
    const { authorization } = await bearer(user);
    const socket = connect(Number(new URL(edge.url).port), "127.0.0.1");
    socket.on("data", (bytes) => void heard.push(bytes.toString()));
    const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;
    socket.write(
      `POST /v1/desk/commands HTTP/1.1\r\nHost: edge\r\nAuthorization: ${authorization}\r\n` +
        `Transfer-Encoding: chunked\r\n\r\n${chunk(`[1] ADD,${user},1.00\n[2] ADD,`)}`,
    );
    await until("the first is answered", () => heard.join("").includes('"n":1'));
    expect(heard.join("")).not.toInclude('"n":2');
    socket.write(chunk(`${user},2.00\n`));
    await until("so is the second", () => heard.join("").includes('"balanceCents":300'));
    socket.write(`${chunk(`[3] ADD,${user},3.00`)}0\r\n\r\n`);
    await until("and one without its newline", () => heard.join("").includes('"balanceCents":600'));
    socket.destroy();
  });

  test("a person commands their own user alone, and an attempt at another is in their own audit", async () => {
    const [victim, thief] = [ours("victim"), ours("thief")];
    await lines([`ADD,${victim},9.00`], admin);
    const replies = await lines(
      [
        `[1] ADD,${thief},1.00`,
        `[2] ADD,${victim},1.00`,
        `[3] DISPLAY_SUMMARY,${victim}`,
        "[4] DUMPLOG,all.xml",
        "[5] HELLO",
        `[6] ADD,${thief},1.00`,
      ],
      await bearer(thief),
    );
    expect(replies.map(({ code }) => code)).toEqual([
      undefined,
      "USER_FORBIDDEN",
      "USER_FORBIDDEN",
      "USER_FORBIDDEN",
      "COMMAND_UNKNOWN",
      undefined,
    ]);
    const events = async (user: string) =>
      (await get("/v1/desk/events", await bearer(user))).body["events"] as unknown[];
    expect(await events(victim)).toHaveLength(1);
    expect(await readBalance(victim)).toBe(900);
    expect(await events(thief)).toHaveLength(6);
    for (const path of ["summary", "quotes/ABC", "events", "log"]) {
      const theirs = `/v1/desk/${path}?user=${victim}`;
      expectProblem(await get(theirs, await bearer(thief)), "TOKEN_SCOPE", 403);
    }
  });

  test("no log is written to a file for any sender: it is streamed", async () => {
    const user = ours("dumper");
    const own = await bearer(user);
    const forbidden = { ok: false, code: "DUMP_FORBIDDEN" };
    expect(await lines([`DUMPLOG,${user},x.xml`], own)).toMatchObject([forbidden]);
    expect(await lines(["DUMPLOG,all.xml"], admin)).toMatchObject([forbidden]);
    expect((await json({ command: "DUMPLOG", file: "x.xml" }, own)).body).toMatchObject(forbidden);
    expect(existsSync(join(desk.data, "dumps"))).toBe(false);
    const log = await fetch(`${edge.url}/v1/desk/log`, { headers: own });
    expect((await log.text()).match(/<errorEvent>/g)).toHaveLength(2);
  });

  test("an administrator and the account's own person share no numbers of a session", async () => {
    const user = ours("shared");
    const session = { "command-session": "today" };
    const senders = [
      { ...admin, ...session },
      { ...(await bearer(user)), ...session },
    ];
    for (const [index, sender] of senders.entries()) {
      const once = await lines([`[1] ADD,${user},1.00`], sender);
      expect(once).toMatchObject([{ ok: true, balanceCents: 100 * (index + 1) }]);
      expect(await lines([`[1] ADD,${user},1.00`], sender)).toEqual(once);
      expect(await lines([`[1] ADD,${user},2.00`], sender)).toMatchObject([
        { code: "COMMAND_NUMBER_REUSED" },
      ]);
    }
  });

  test("a sender without a token, a permission, or a valid desk user is refused before anything is read", async () => {
    const refused: [string, number, Headers][] = [
      ["TOKEN_MISSING", 401, {}],
      ["TOKEN_SCOPE", 403, await bearer("alice", "signals:write")],
      ["DESK_USER_MISSING", 403, await bearer("al-ice")],
      ["HEADER_INVALID", 400, { ...admin, "command-session": "not a name" }],
    ];
    for (const [code, status, headers] of refused) {
      expectProblem(await json({ command: "ADD", amountCents: 1 }, headers), code, status);
    }
    for (const path of ["summary", "quotes/ABC", "events", "log", "ws"]) {
      expectProblem(await get(`/v1/desk/${path}`, {}), "TOKEN_MISSING", 401);
    }
  });

  test("a line of a megabyte and bytes that are not text are refused with a code, and the run continues", async () => {
    const user = ours("bad");
    const replies = await lines(
      [
        `ADD,${user},${"1".repeat(1024 * 1024)}`,
        new Uint8Array([65, 68, 68, 44, 0xff, 0xfe, 0xc3]),
        "",
        `ADD,${user},1.00\r`,
      ],
      await bearer(user),
    );
    expect(replies.map(({ code }) => code)).toEqual(["LINE_TOO_LONG", "LINE_NOT_TEXT", undefined]);
    expect(replies.at(-1)).toMatchObject({ balanceCents: 100 });
  });

  // Deno's own server reads a chunked body ahead without limit, even if the handler does not read
  // it.
  test.skipIf(runtime === "Deno")(
    "what a sender does not read is waited for, and others never wait for it",
    async () => {
      const { authorization } = await bearer(ours("slow"));
      const socket = connect(Number(new URL(edge.url).port), "127.0.0.1");
      socket.pause();
      socket.on("error", () => {});
      socket.write(
        `POST /v1/desk/commands HTTP/1.1\r\nHost: edge\r\nAuthorization: ${authorization}\r\n` +
          "Transfer-Encoding: chunked\r\n\r\n",
      );
      const text = `DISPLAY_SUMMARY,${ours("slow")}\n`.repeat(3_000);
      const chunk = `${text.length.toString(16)}\r\n${text}\r\n`;
      let stuck = false;
      for (let count = 0; count < 200 && !stuck; count += 1) {
        stuck = await new Promise<boolean>((resolve) => {
          const timer = setTimeout(() => resolve(true), 1_500);
          socket.write(chunk, () => {
            clearTimeout(timer);
            resolve(false);
          });
        });
      }
      expect(stuck).toBe(true);
      const other = ours("quick");
      expect(await lines([`ADD,${other},1.00`], await bearer(other))).toMatchObject([{ ok: true }]);
      socket.destroy();
    },
    60_000,
  );

  test("a WebSocket takes the same lines, several in a message, and refuses a line of a megabyte with a code", async () => {
    const user = ours("socket");
    const socket = new WebSocket(`${edge.url.replace("http", "ws")}/v1/desk/ws?session=s1`, {
      headers: await bearer(user),
    });
    const replies: DeskReply[] = [];
    socket.addEventListener("message", ({ data }) => replies.push(...parseReplies(String(data))));
    await new Promise((resolve) => socket.addEventListener("open", resolve));
    for (let n = 0; n < 50; n += 1) {
      socket.send(
        Array.from({ length: 20 }, (_, k) => `[${n * 20 + k + 1}] ADD,${user},1.00`).join("\n"),
      );
    }
    socket.send(`[1001] ADD,${user},${"1".repeat(1000 * 1000)}`);
    socket.send("[1002] ADD,somebodyelse,1.00");
    await until("all are answered", () => replies.length === 1_002);
    expect(replies.map(({ n }) => n)).toEqual(replies.map((_, index) => index + 1));
    expect(replies.at(-3)).toMatchObject({ balanceCents: 100_000 });
    expect(replies.slice(-2).map(({ code }) => code)).toEqual(["LINE_TOO_LONG", "USER_FORBIDDEN"]);
    socket.close();
  });

  test("one command as JSON, the summary, a quote and the audit are answered as documents", async () => {
    const user = ours("trader");
    const own = await bearer(user);
    expectProblem(await get("/v1/desk/summary", own), "DESK_USER_UNKNOWN", 404);
    expect((await json({ command: "ADD", amountCents: 10_000 }, own)).body).toMatchObject({
      ok: true,
      balanceCents: 10_000,
    });
    const buy = { command: "BUY", n: 1, symbol: "ABC", amountCents: 2_700 };
    const once = { ...own, "command-session": "page" };
    const bought = await json(buy, once);
    expect(bought.body).toMatchObject({ ok: true, shares: 5, priceCents: 500, totalCents: 2_500 });
    expect((await json(buy, once)).body).toEqual(bought.body);
    expect((await json({ command: "COMMIT_BUY", n: 2 }, once)).body).toMatchObject({ ok: true });
    expect((await json({ command: "COMMIT_BUY", n: 3 }, once)).body).toMatchObject({
      ok: false,
      code: "BUY_NOT_PENDING",
      message: expect.any(String),
    });
    expect((await get("/v1/desk/summary", own)).body).toMatchObject({
      user,
      balanceCents: 7_500,
      reservedCents: 0,
      holdings: [{ symbol: "ABC", shares: 5, reservedShares: 0 }],
      pendingBuys: [],
      prices: "simulated",
    });
    const quote = (await get("/v1/desk/quotes/ABC", own)).body;
    expect(quote).toMatchObject({ symbol: "ABC", priceCents: 500, prices: "simulated" });
    expect(quote["validUntilMs"]).toBe(Number(quote["quoteTimeMs"]) + 60_000);
    expectProblem(await get("/v1/desk/quotes/abc", own), "SYMBOL_UNKNOWN", 422);
    expectProblem(await json({ command: "BUY", price: 1 }, own), "BODY_INVALID", 422);

    const page = (await get("/v1/desk/events", own)).body;
    const events = page["events"] as Record<string, unknown>[];
    expect(page["next"]).toBeNull();
    const moved = events.flatMap((each) => (each["movedCents"] ?? []) as number[]);
    expect(moved).toEqual([10_000, -2_500]);
    const log = await fetch(`${edge.url}/v1/desk/log`, { headers: own });
    expect(log.headers.get("content-type")).toBe("application/xml");
    expect(log.headers.get("content-disposition")).toInclude(`desk-log-${user}.xml`);
    expect((await log.text()).match(/<accountTransaction>/g)).toHaveLength(2);
    // Also if an administrator could be a desk user themselves.
    const boss = await bearer("boss", "desk:trade desk:admin");
    const ofAll = await fetch(`${edge.url}/v1/desk/log`, { headers: boss });
    expect(await ofAll.text()).toInclude(`<username>${user}</username>`);
  });

  test("the audit's pages contain each event once", async () => {
    const user = ours("pages");
    const own = await bearer(user);
    for (let round = 0; round < 4; round += 1) {
      await lines(
        Array.from({ length: 60 }, () => `ADD,${user},1.00`),
        own,
      );
    }
    const transactions: unknown[] = [];
    let pages = 0;
    for (let next: string | null = ""; next !== null; pages += 1) {
      const { body } = await get(`/v1/desk/events?after=${next}`, own);
      transactions.push(...(body["events"] as { transaction: number }[]).map((e) => e.transaction));
      next = body["next"] as string | null;
    }
    expect(pages).toBeGreaterThan(1);
    expect([transactions.length, new Set(transactions).size]).toEqual([240, 240]);
    expectProblem(await get("/v1/desk/events?after=x", own), "QUERY_INVALID", 400);
  });

  test(
    "kill -9 of a server, one after the other, loses and doubles no numbered command",
    async () => {
      const users = Array.from({ length: 8 }, (_, index) => `${ours("killed")}${index}`);
      let stop = false;
      const done = users.map(async (user) => {
        const headers = { ...(await bearer(user)), "command-session": "run" };
        let n = 0;
        while (!stop) {
          n += 1;
          const [reply] = await lines([`[${n}] ADD,${user},1.00`], headers);
          expect(reply).toMatchObject({ n, ok: true, balanceCents: n * 100 });
        }
        return n;
      });
      for (const server of [...desk.servers, ...desk.servers]) {
        await Bun.sleep(300);
        await server.kill();
        await Bun.sleep(300);
        await server.restart();
      }
      stop = true;
      const counts = await Promise.all(done);
      for (const [index, user] of users.entries()) {
        expect(counts[index]).toBeGreaterThan(10);
        expect(await readBalance(user)).toBe((counts[index] ?? 0) * 100);
      }
    },
    FAILOVER_TIMEOUT_MS,
  );

  test(
    "servers that are replaced while commands run lose and double none of them",
    async () => {
      const users = Array.from({ length: 8 }, (_, index) => `${ours("swapped")}${index}`);
      let stop = false;
      const done = users.map(async (user) => {
        const headers = await bearer(user);
        const tally = { done: 0, unknown: 0 };
        while (!stop) {
          const [reply] = await lines([`ADD,${user},1.00`], headers);
          if (reply?.ok) tally.done += 1;
          else {
            expect(reply?.code).toBe("OUTCOME_UNKNOWN");
            tally.unknown += 1;
          }
        }
        return tally;
      });
      for (const server of desk.servers) {
        await Bun.sleep(200);
        await server.swap();
      }
      stop = true;
      for (const [index, tally] of (await Promise.all(done)).entries()) {
        const added = (await readBalance(users[index] ?? "")) / 100;
        expect(added).toBeWithin(tally.done, tally.done + tally.unknown + 1);
        // Only a connection that is refused while its server stops is uncertain.
        expect(tally.unknown).toBeLessThanOrEqual(2);
        expect(tally.done).toBeGreaterThan(10);
      }
    },
    FAILOVER_TIMEOUT_MS,
  );

  test(
    "commands without a number are never doubled: an unknown result is reported as such",
    async () => {
      const users = Array.from({ length: 8 }, (_, index) => `${ours("plain")}${index}`);
      let stop = false;
      const done = users.map(async (user) => {
        const headers = await bearer(user);
        const tally = { done: 0, unknown: 0 };
        while (!stop) {
          const [reply] = await lines([`ADD,${user},1.00`], headers);
          if (reply?.ok) tally.done += 1;
          else {
            expect(["OUTCOME_UNKNOWN", "DESK_UNAVAILABLE"]).toContain(String(reply?.code));
            if (reply?.code === "OUTCOME_UNKNOWN") tally.unknown += 1;
          }
        }
        return tally;
      });
      for (const server of [...desk.servers, ...desk.servers]) {
        await Bun.sleep(200);
        await server.kill();
        await server.restart();
      }
      stop = true;
      for (const [index, tally] of (await Promise.all(done)).entries()) {
        const added = (await readBalance(users[index] ?? "")) / 100;
        expect(added).toBeGreaterThanOrEqual(tally.done);
        expect(added).toBeLessThanOrEqual(tally.done + tally.unknown);
        expect(tally.done).toBeGreaterThan(10);
      }
    },
    FAILOVER_TIMEOUT_MS,
  );

  test(
    "a server that is suspended is left out within seconds, and used again when it answers",
    async () => {
      const users = Array.from({ length: 8 }, (_, index) => `${ours("halted")}${index}`);
      const addAll = async (n: number): Promise<void> => {
        const sent = users.map(async (user) => {
          const headers = { ...(await bearer(user)), "command-session": "run" };
          return await lines([`[${n}] ADD,${user},1.00`], headers);
        });
        for (const [reply] of await Promise.all(sent)) {
          expect(reply).toMatchObject({ ok: true, balanceCents: n * 100 });
        }
      };
      await addAll(1);
      const [first, second] = desk.servers;
      first?.halt();
      try {
        await addAll(2);
        const before = performance.now();
        await addAll(3);
        expect(performance.now() - before).toBeLessThan(1_000);
      } finally {
        first?.resume();
      }
      await until("it is used again", async () => {
        const [, replies] = await Promise.all([
          lines([`ADD,${users[0]},0.01`], admin),
          lines(
            Array.from({ length: 4 }, () => `ADD,${ours("back")},0.01`),
            admin,
          ),
        ]);
        return replies.every(({ ok }) => ok);
      });
      second?.halt();
      try {
        const [reply] = await lines([`ADD,${ours("back")},0.01`], admin);
        expect(["OUTCOME_UNKNOWN", undefined]).toContain(reply?.code);
        expect(await lines([`ADD,${ours("back")},0.01`], admin)).toMatchObject([{ ok: true }]);
      } finally {
        second?.resume();
      }
    },
    FAILOVER_TIMEOUT_MS,
  );
});

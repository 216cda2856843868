import { afterAll, beforeEach, expect, test } from "bun:test";
import { HomeKeys } from "../redis/keys.ts";
import { route } from "../redis/route.ts";
import { openStore } from "./store.ts";

/** A server that takes commands and fails in the way that the test chooses. */
let fail: () => Promise<Response>;
let asked = 0;
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: async () => {
    asked += 1;
    return await fail();
  },
});
afterAll(() => server.stop(true));
beforeEach(() => {
  asked = 0;
});

const store = openStore({ url: server.url.href, token: "the-token" });
const write = async (): Promise<unknown> =>
  await store.run(route, { home: new HomeKeys(0), channel: "c" as never, routes: [] });

test("a write whose answer fails is sent once, and the failure contains nothing of the command", async () => {
  const failures = [
    () => Response.json({ error: "ERR of the store" }, { status: 500 }),
    () => new Response("not JSON"),
    () => Response.json({ error: "WRONGTYPE" }),
  ];
  for (const each of failures) {
    fail = async () => await Promise.resolve(each());
    asked = 0;
    expect(await write()).toEqual({ ok: false, code: "STORE_UNAVAILABLE" });
    expect(asked).toBe(1);
  }
});

test("a write that is not answered within a second is given up, and not sent again", async () => {
  const never = Promise.withResolvers<Response>();
  fail = async () => await never.promise;
  expect(await write()).toEqual({ ok: false, code: "STORE_UNAVAILABLE" });
  expect(asked).toBe(1);
  never.resolve(new Response());
});

test("a write whose connection is cut is not sent again", async () => {
  const cut = Bun.listen({
    port: 0,
    hostname: "127.0.0.1",
    socket: {
      data(socket) {
        asked += 1;
        socket.terminate();
      },
    },
  });
  const other = openStore({ url: `http://127.0.0.1:${cut.port}`, token: "the-token" });
  expect(await other.get("k")).toEqual({ ok: false, code: "STORE_UNAVAILABLE" });
  expect(asked).toBe(1);
  cut.stop(true);
});

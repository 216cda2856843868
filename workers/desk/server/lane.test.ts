import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { DESK, DESK_CALL } from "../../../tests/support/contracts.ts";
import { startScriptRedis, type ScriptRedis } from "../../../tests/support/scripts.ts";
import { MAX_COMMANDS, type ReadyCommand, type Reply } from "../accounts/execute.ts";
import { lane, type Lane } from "./lane.ts";

let redis: ScriptRedis;
let way: Lane;
beforeAll(async () => {
  redis = await startScriptRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.clear();
  way = lane({ ...DESK_CALL, redis: redis.client, pendingValidMs: 60_000 });
});

const add = (user: string, cents = 100): ReadyCommand => ({
  name: "ADD",
  user,
  symbol: "",
  cents,
  priceCents: 0,
  quoteTimeMs: 0,
  session: "",
  n: 0,
});

/** Adds all at once. Returns each result, in the order in which they came. */
async function send(commands: readonly ReadyCommand[]) {
  const results: { readonly index: number; readonly reply: Reply | undefined }[] = [];
  await Promise.all(
    commands.map(
      (command, index) =>
        new Promise<void>((resolve) => {
          way.add(command, (reply) => {
            results.push({ index, reply });
            resolve();
          });
        }),
    ),
  );
  return results;
}

test("commands that are ready together are one commit, with results in their order", async () => {
  const results = await send(Array.from({ length: 50 }, (_, index) => add(`u${index % 5}`)));
  expect(results.map(({ index }) => index)).toEqual(
    Array.from({ length: 50 }, (_, index) => index),
  );
  const transactions = results.map(({ reply }) => reply?.transaction ?? 0);
  expect(transactions).toEqual(transactions.toSorted((a, b) => a - b));
  expect(await redis.send("XLEN", DESK.audit)).toBe(1);
  expect(await redis.send("HGET", DESK.balances, "u0")).toBe("1000");
});

test("more commands than one commit contains become several, in order, each command once", async () => {
  const results = await send(Array.from({ length: 2 * MAX_COMMANDS + 1 }, () => add("u")));
  expect(await redis.send("XLEN", DESK.audit)).toBe(3);
  expect(results).toHaveLength(2 * MAX_COMMANDS + 1);
  expect(results.at(-1)?.reply?.members).toContain(`"balanceCents":${100 * results.length}`);
});

test("commands that arrive during a commit are in the next one", async () => {
  const first = send([add("u", 1)]);
  const second = first.then(() => send([add("u", 2)]));
  await Promise.all([first, second, send([add("u", 4)])]);
  expect(await redis.send("HGET", DESK.balances, "u")).toBe("7");
});

test("if Redis fails, all results of the commit are unknown, and the next commands are executed", async () => {
  await redis.send("SET", DESK.balances, "no hash");
  const results = await send([add("u"), add("v")]);
  expect(results.map(({ reply }) => reply)).toEqual([undefined, undefined]);
  await redis.clear();
  expect((await send([add("u")]))[0]?.reply?.members).toContain('"balanceCents":100');
});

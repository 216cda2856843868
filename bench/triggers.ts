/**
 * `npm run bench -- triggers`: the cost of a million waiting triggers: to set one, to store one,
 * for each look, for a quote that meets none, and for a quote that meets one. It measures a
 * thousand as well, because most figures should not differ.
 */
import { waitingTriggers } from "../workers/desk/stored/waiting.ts";
import { AccountBook } from "../workers/desk/accounts/book.ts";
import { executeCommands, type ReadyCommand } from "../workers/desk/accounts/execute.ts";
import { fireTriggers, type FireReply } from "../workers/desk/accounts/fire.ts";
import { DeskKeys } from "../workers/desk/stored/keys.ts";
import { startRedis } from "../tests/support/redis.ts";
import { connectRedis } from "../workers/runtime/redis-client.ts";
import { run as runScript, type Redis } from "../workers/runtime/redis.ts";
import { parseNumbers, readOptions } from "./arguments.ts";
import { median, showProgress, table } from "./figures.ts";
import { redisCpuMs } from "./machine.ts";
import { writeReport } from "./report.ts";

const CALL = { partition: 0, partitions: 1, server: "bench" };
const SYMBOLS = 100;
/** Users whose triggers are set in one call: two commands each. */
const AT_ONCE = 250;
const QUOTES = 20_000;
const FIRED = 200;
/**
 * Every trigger buys at 1.00 or below; all quotes are above it, except those that meet a trigger.
 */
const QUOTE_CENTS = 500;
const TRIGGER_CENTS = 100;
const AMOUNT_CENTS = 1_000;

interface Figures {
  readonly triggers: number;
  readonly setCpuUs: number;
  readonly bytesEach: number;
  readonly lookCpuMs: number;
  readonly missCpuUs: number;
  readonly hitCpuUs: number;
  readonly hitMedianMs: number;
}

export async function run(args: string[]): Promise<void> {
  const options = readOptions(args, { triggers: "1000,1000000", json: "" });
  const figures: Figures[] = [];
  for (const count of parseNumbers(options.triggers)) figures.push(await measure(count));
  showProgress("");
  console.log(
    table(
      ["waiting", "set µs", "bytes", "look ms", "meets none µs", "meets one µs", "fired ms"],
      figures.map((each) => [
        each.triggers,
        each.setCpuUs.toFixed(1),
        each.bytesEach,
        each.lookCpuMs.toFixed(2),
        each.missCpuUs.toFixed(1),
        each.hitCpuUs.toFixed(1),
        each.hitMedianMs.toFixed(2),
      ]),
    ),
  );
  await writeReport(options.json, { figures });
}

async function measure(count: number): Promise<Figures> {
  const server = await startRedis({ appendOnly: true });
  const redis = connectRedis(server.url);
  const users = Math.ceil(count / SYMBOLS);
  const accounts = new AccountBook(redis, CALL);
  await addUsers(redis, accounts, users);
  const before = await usedBytes(redis);
  const setCpuMs = await measureCpuMs(redis, () => setAll(redis, accounts, users));
  await redis.send("DEL", [new DeskKeys(0).audit]);
  const triggers = Number(await redis.send("ZCARD", [new DeskKeys(0).buyTriggers]));
  const bytesEach = ((await usedBytes(redis)) - before) / triggers;

  const lookCpuMs = await measureCpuMs(redis, async () => {
    for (let times = 0; times < 100; times += 1) {
      await runScript(redis, waitingTriggers, { partition: 0, side: "buy" });
    }
  });
  const missCpuMs = await measureCpuMs(redis, async () => {
    for (let start = 0; start < QUOTES; start += 100) {
      await Promise.all(Array.from({ length: 100 }, () => fire(redis, "AA", QUOTE_CENTS)));
    }
  });
  // One trigger at a time is raised above the others, and met alone.
  await execute(accounts, FIRED, (nth) => [
    ready("SET_BUY_TRIGGER", `u${nth % users}`, nameSymbol(Math.floor(nth / users)), 200 + nth),
  ]);
  const tookMs: number[] = [];
  let fired = 0;
  const hitCpuMs = await measureCpuMs(redis, async () => {
    for (let nth = FIRED - 1; nth >= 0; nth -= 1) {
      const startedAtMs = performance.now();
      const reply = await fire(redis, nameSymbol(Math.floor(nth / users)), 200 + nth);
      tookMs.push(performance.now() - startedAtMs);
      if (reply.kind === "fired") fired += reply.count;
    }
  });
  if (fired !== FIRED) throw new Error(`${fired} of ${FIRED} triggers were fired`);
  redis.close();
  await server.stop();
  return {
    triggers,
    setCpuUs: (setCpuMs * 1_000) / triggers,
    bytesEach,
    lookCpuMs: lookCpuMs / 100,
    missCpuUs: (missCpuMs * 1_000) / QUOTES,
    hitCpuUs: (hitCpuMs * 1_000) / FIRED,
    hitMedianMs: median(tookMs),
  };
}

async function addUsers(redis: Redis, accounts: AccountBook, users: number): Promise<void> {
  const cents = AMOUNT_CENTS * SYMBOLS * 2;
  await execute(accounts, users, (nth) => [ready("ADD", `u${nth}`, "", cents)]);
  await redis.send("DEL", [new DeskKeys(0).audit]);
}

async function setAll(redis: Redis, accounts: AccountBook, users: number): Promise<void> {
  for (let of = 0; of < SYMBOLS; of += 1) {
    const symbol = nameSymbol(of);
    showProgress(`setting triggers: ${of * users}`);
    await execute(accounts, users, (nth) => [
      ready("SET_BUY_AMOUNT", `u${nth}`, symbol, AMOUNT_CENTS),
      ready("SET_BUY_TRIGGER", `u${nth}`, symbol, TRIGGER_CENTS),
    ]);
    // As the recorder would trim it.
    await redis.send("XTRIM", [new DeskKeys(0).audit, "MAXLEN", "1"]);
  }
}

async function execute(
  accounts: AccountBook,
  users: number,
  commandsOf: (nth: number) => ReadyCommand[],
): Promise<void> {
  for (let start = 0; start < users; start += AT_ONCE) {
    const size = Math.min(AT_ONCE, users - start);
    const commands = Array.from({ length: size }, (_, index) => commandsOf(start + index)).flat();
    const replies = await executeCommands(accounts, commands, 60_000);
    const refused = replies.find((reply) => reply.refusal);
    if (refused !== undefined) throw new Error(`refused: ${refused.refusal}`);
  }
}

function ready(name: string, user: string, symbol: string, cents: number): ReadyCommand {
  const quote = { priceCents: QUOTE_CENTS * 2, quoteTimeMs: Date.now() };
  return { name, user, symbol, cents, ...quote, session: "", n: 0 };
}

function fire(redis: Redis, symbol: string, priceCents: number): Promise<FireReply> {
  const quote = { symbol, priceCents, sourceTimeMs: Date.now(), validMs: 60_000 };
  return fireTriggers(redis, { ...CALL, ...quote });
}

function nameSymbol(nth: number): string {
  return String.fromCharCode(65 + Math.floor(nth / 26), 65 + (nth % 26));
}

async function measureCpuMs(redis: Redis, work: () => Promise<void>): Promise<number> {
  const before = await redisCpuMs(redis);
  await work();
  return (await redisCpuMs(redis)) - before;
}

async function usedBytes(redis: Redis): Promise<number> {
  const info = String(await redis.send("INFO", ["memory"]));
  return Number(/^used_memory:(\d+)/m.exec(info)?.[1]);
}

/**
 * `npm run desk:workload`, as a person runs it. First on a desk that it starts and stops:
 * the books equal the reference (the rules in another language). Then on a desk whose
 * servers and Redis are killed during the run.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "../support/command.ts";
import { DAY_TRADING } from "../support/data.ts";
import { need } from "../support/needs.ts";
import { sendLines, startTradingDesk, type TradingDesk } from "../support/trading-desk.ts";
import { findFaults, findXmllint } from "../support/xmllint.ts";

const there = need("the day-trading workloads", existsSync(DAY_TRADING), `no ${DAY_TRADING}`);
const python = Bun.which("python3");
need("the desk's reference", python !== null, "no python3");
const xmllint = findXmllint();
need("the log's schema", xmllint !== undefined, "no xmllint");

const dir = mkdtempSync(join(tmpdir(), "fanfare-workload-test-"));
afterAll(() => rmSync(dir, { recursive: true }));

/** Symbols of the file of 45 users: some expensive, some cheap. Other symbols have no quote. */
const SOME_PRICES = join(dir, "some-prices");
writeFileSync(
  SOME_PRICES,
  "QDU,383.82\nABQ,5.00\nHJE,3.74\nVOT,9.65\nRYI,1.01\nTWQ,250.00\nBMJ,0.07\n",
);

const call = (script: string, words: readonly string[], env: Record<string, string> = {}) =>
  runCommand([script, ...words], { TMPDIR: dir, ...env });
const workload = (words: readonly string[]) => call("local/workload.ts", words);

/** The settings of the runner for a running desk. */
function createEnv(desk: TradingDesk): Record<string, string> {
  return {
    FANFARE_REDIS_URL: desk.redis.url,
    FANFARE_PARTITIONS: "4",
    FANFARE_DATA: desk.data,
    FANFARE_DESK_TOKEN: desk.token,
  };
}

async function referenceBooks(file: string, prices: string): Promise<unknown> {
  const child = Bun.spawn(["python3", join(import.meta.dir, "reference.py"), file, prices], {
    stdout: "pipe",
  });
  return JSON.parse(await new Response(child.stdout).text());
}

async function booksIn(path: string): Promise<unknown> {
  return JSON.parse(await Bun.file(path).text());
}

describe.skipIf(!there)("the workload runner", () => {
  test("a run with one price: the reference's books, a valid log, the figures, and no process left", async () => {
    const file = join(DAY_TRADING, "10User_testWorkLoad");
    const [books, log, json] = ["books", "log", "json"].map((name) => join(dir, `ten-${name}`));
    const before = readdirSync(dir);
    const result = await workload([
      file,
      "--price",
      "5.00",
      "--connections",
      "4",
      "--books",
      books!,
      "--log",
      log!,
      "--json",
      json!,
    ]);
    expect(result).toMatchObject({ code: 0 });
    expect(result.out).toContain("books proven");
    expect(result.out).toMatch(/AMOUNT_INVALID +1\n/);
    expect(await booksIn(json!)).toMatchObject({ replies: 10_000 });
    const text = await Bun.file(log!).text();
    expect(text.match(/<userCommand>/g)).toHaveLength(10_000);
    if (xmllint !== undefined) {
      expect(await findFaults(xmllint, join(DAY_TRADING, "logfile.xsd"), log!)).toBe("");
    }
    const left = readdirSync(dir).filter((name) => !before.includes(name));
    expect(left.sort()).toEqual(["ten-books", "ten-json", "ten-log"]);
    if (python === null) return;
    const prices = join(dir, "five");
    writeFileSync(prices, "*,5.00\n");
    expect(await booksIn(books!)).toEqual(await referenceBooks(file, prices));
  }, 120_000);

  test("three runs with the prices of a file give the same books as the reference", async () => {
    const file = join(DAY_TRADING, "45User_testWorkLoad");
    const found: unknown[] = [];
    for (const run of ["1", "16", "45"]) {
      const books = join(dir, `books-${run}`);
      const words = [file, "--prices", SOME_PRICES, "--connections", run, "--books", books];
      expect(await workload(words)).toMatchObject({ code: 0 });
      found.push(await booksIn(books));
    }
    expect(found[1]).toEqual(found[0]);
    expect(found[2]).toEqual(found[0]);
    if (python !== null) expect(found[0]).toEqual(await referenceBooks(file, SOME_PRICES));
  }, 240_000);

  test("servers killed five times and Redis once: nothing is lost, and nothing is executed twice", async () => {
    const file = join(DAY_TRADING, "45User_testWorkLoad");
    const desk = await startTradingDesk({
      servers: 2,
      prices: { "*": "5.00" },
      durability: "always",
    });
    try {
      // Both servers have cached all quotes. Without Redis there are no new ones, which is an
      // error and not a loss.
      const symbols = new Set((await Bun.file(file).text()).match(/(?<=,)[A-Z]{3}(?=[ ,])/g));
      const asking = ["ADD,warm,1.00", ...[...symbols].map((symbol) => `QUOTE,warm,${symbol}`)];
      for (const server of desk.servers) await sendLines(server, desk.token, asking);
      const asked = desk.servers.length * asking.length;
      const books = join(dir, "killed-books");
      const json = join(dir, "killed-json");
      const words = ["--url", desk.servers.map(({ url }) => url).join(","), "--books", books];
      const running = call(
        "workers/commands/main.ts",
        ["desk:workload", file, ...words, "--json", json],
        {
          ...createEnv(desk),
        },
      );
      let over = false;
      void running.then(() => (over = true));
      const audited = async (): Promise<number> => {
        const counts = [0, 1, 2, 3].map((each) =>
          desk.client.send("GET", [`desk:{${each}}:transactions`]),
        );
        return (await Promise.all(counts)).reduce((sum: number, each) => sum + Number(each), 0);
      };
      for (let kill = 0; kill < 6; kill += 1) {
        // The kills are spread over the run: each comes after a further part of the commands.
        const reached = asked + kill * 1_500 + 500;
        while (!over && (await audited().catch(() => 0)) < reached) await Bun.sleep(5);
        expect(over).toBe(false);
        if (kill === 0) {
          await desk.redis.kill();
          await desk.redis.restart();
        } else {
          const server = desk.servers[kill % 2]!;
          await server.kill();
          await server.restart();
        }
      }
      const result = await running;
      expect(result).toMatchObject({ code: 0 });
      expect(result.out).toContain("books proven");
      expect(await booksIn(json)).toMatchObject({ replies: 10_000 });
      if (python === null) return;
      const prices = join(dir, "all-five");
      writeFileSync(prices, "*,5.00\n");
      expect(await booksIn(books)).toEqual(await referenceBooks(file, prices));
    } finally {
      await desk.stop();
    }
  }, 180_000);

  test("a line without a user is sent after all earlier lines have their replies, and before any later line", async () => {
    const desk = await startTradingDesk({ servers: 2, prices: { "*": "5.00" } });
    try {
      const users = Array.from({ length: 40 }, (_, index) => `user${index}`);
      const adds = Array.from({ length: 25 }, () => users.map((user) => `ADD,${user},1.00`)).flat();
      const file = join(dir, "dump-in-the-middle");
      writeFileSync(file, [...adds, "DUMPLOG,./middle", ...adds, ""].join("\n"));
      const words = [file, "--url", desk.servers.map(({ url }) => url).join(",")];
      const { code } = await call(
        "workers/commands/main.ts",
        ["desk:workload", ...words],
        createEnv(desk),
      );
      expect(code).toBe(0);
      const log = await Bun.file(join(desk.data, "dumps/middle")).text();
      expect(log.match(/<command>ADD</g)).toHaveLength(adds.length);
    } finally {
      await desk.stop();
    }
  }, 60_000);

  test.each([
    [["nowhere"], "cannot be read"],
    [[], "one FILE is needed"],
    [[SOME_PRICES, "--price", "5"], "--price takes a price"],
    [[SOME_PRICES, "--prices", import.meta.path], "is not SYM,price"],
    [[SOME_PRICES, "--price", "5.00", "--url", "http://127.0.0.1:1"], "only where no --url"],
    [[SOME_PRICES, "--connections", "0"], "--connections takes"],
  ])("%p is refused with what is wrong", async (words, wrong) => {
    const { code, err } = await workload(words);
    expect(code).toBe(2);
    expect(err).toContain(wrong);
  });
});

/**
 * `npm run bench -- encodings`: what the texts that we pack by hand would cost as
 * JSON: nanoseconds to write and to read one, in this process and in Redis' Lua.
 */
import { formatUsage } from "../tests/support/usage-model.ts";
import { startRedis } from "../tests/support/redis.ts";
import { signalIdOf } from "../tests/support/signals.ts";
import { parseUsage } from "../domain/copier/caps.ts";
import { parseRoute } from "../redis/route.ts";
import { commandEvent, eventsOf, firedEvent } from "../workers/desk/stored/audit.ts";
import {
  packChange,
  packOrders,
  packPosition,
  parseHistory,
  parseOrders,
  parsePosition,
} from "../workers/desk/stored/fields.ts";
import { parseStoredQuote } from "../workers/desk/stored/quotes.ts";
import { packReply, unpackReply } from "../workers/desk/stored/reply.ts";
import { packLastCommand, parseLastCommand } from "../workers/desk/stored/session.ts";
import { connectRedis } from "../workers/runtime/redis-client.ts";
import { readOptions } from "./arguments.ts";
import { median, showProgress, table } from "./figures.ts";
import { writeReport } from "./report.ts";

const AT_MS = 1_700_000_000_123;
const ROUNDS = 9;
const CALLS = 100_000;

interface Encoding {
  readonly name: string;
  readonly value: unknown;
  write(): string;
  read(text: string): unknown;
}

const position = {
  shares: 120,
  reservedShares: 10,
  buyCents: 50_000,
  buyPriceCents: 1_250,
  buyTransaction: 123_456,
  sellCents: 0,
  sellPriceCents: 0,
  sellTransaction: 0,
};
const order = { symbol: "ABC", shares: 12, priceCents: 1_234, atMs: AT_MS };
const change = {
  transaction: 123_456,
  command: "COMMIT_BUY",
  symbol: "ABC",
  cents: 14_808,
  shares: 12,
  atMs: AT_MS,
};
const answered = {
  told: { symbol: "ABC", shares: 12, priceCents: 1_234, quoteTimeMs: AT_MS, totalCents: 14_808 },
  balanceCents: 985_192,
};
const last = { n: 17, transaction: 123_456, digest: "3f9a", packed: packReply(answered) };
const usage = { day: 20_000, stakedCents: 12_300, open: 3, lossCents: -500, revision: 77 };
const command = { name: "COMMIT_BUY", user: "someone", symbol: "ABC", cents: 0 };
const fired = { user: "someone", symbol: "ABC", priceCents: 1_234 };
const firing = { transaction: 123_456, shares: 40, totalCents: 49_360, movedCents: [640] };
const quote = { symbol: "EUR/USD", priceMicros: 1_084_230, sourceTimeMs: AT_MS };
const route = {
  region: "local",
  broker: "desk",
  partition: 3,
  shard: 12,
  version: AT_MS,
  count: 512,
};

/** One of each kind, of the size that it mostly has. */
const ENCODINGS: readonly Encoding[] = [
  {
    name: "position without triggers",
    value: { shares: 120 },
    write: () => packPosition({ ...position, reservedShares: 0, buyCents: 0 }),
    read: parsePosition,
  },
  { name: "position", value: position, write: () => packPosition(position), read: parsePosition },
  {
    name: "pending orders, two",
    value: [order, order],
    // Without what is remembered of a row that was written before.
    write: () => packOrders([{ ...order }, { ...order }]),
    read: parseOrders,
  },
  {
    name: "history, five changes",
    value: [change, change, change, change, change],
    write: () => packChange(change).repeat(5),
    read: parseHistory,
  },
  {
    name: "last command",
    value: { ...last, packed: answered },
    write: () => packLastCommand({ ...last, packed: packReply(answered) }),
    read: (text) => unpackReply(parseLastCommand(text).packed),
  },
  {
    name: "audit event of a command",
    value: {
      kind: "command",
      transaction: 123_456,
      ...command,
      file: "",
      refusal: "",
      movedCents: [1],
    },
    write: () => commandEvent(123_456, command, "", [-14_808]),
    read: (events) => [...eventsOf({ events })],
  },
  {
    name: "audit event of a trigger",
    value: { kind: "fired", name: "SET_BUY_TRIGGER", ...fired, ...firing },
    write: () => firedEvent("buy", fired, firing),
    read: (events) => [...eventsOf({ events })],
  },
  {
    name: "streamed quote",
    value: { priceMicros: quote.priceMicros, sourceTimeMs: AT_MS },
    write: () => `${quote.priceMicros},${quote.sourceTimeMs}`,
    read: (text) => parseStoredQuote(quote.symbol, text),
  },
  { name: "usage", value: usage, write: () => formatUsage(usage), read: parseUsage },
  {
    name: "route",
    value: { version: AT_MS, count: 512 },
    write: () => `${route.version},${route.count}`,
    read: (text) => parseRoute("local/desk/3/12", text),
  },
];

interface LuaEncoding {
  readonly name: string;
  readonly text: string;
  readonly json: string;
  /** Reads `text`, changes a number of it and writes it again. */
  readonly packed: string;
  readonly decoded: string;
}

const id = `${signalIdOf(1)}.someone-0001`;
const LUA_ENCODINGS: readonly LuaEncoding[] = [
  {
    name: "usage",
    text: formatUsage(usage),
    json: JSON.stringify(usage),
    packed: `local a, b, c, d, e = string.match(text, '^(%d+),(%d+),(%d+),(-?%d+),(%d+)$')
      out = string.format('%d,%d,%d,%d,%d', a, b + 1, c, d, e)`,
    decoded: "local u = cjson.decode(text) u.stakedCents = u.stakedCents + 1 out = cjson.encode(u)",
  },
  {
    name: "reserved stake",
    text: "12300,20000",
    json: '{"stakeCents":12300,"day":20000}',
    packed: `local a, b = string.match(text, '^(%d+),(%d+)$') out = string.format('%d,%d', a + 1, b)`,
    decoded: "local u = cjson.decode(text) u.stakeCents = u.stakeCents + 1 out = cjson.encode(u)",
  },
  {
    name: "places of an account, two",
    text: `${id}@${AT_MS},${id}@${AT_MS}`,
    json: JSON.stringify([
      [id, AT_MS],
      [id, AT_MS],
    ]),
    packed: `local p = {} for i, at in string.gmatch(text, '([^@,]+)@(%d+)') do p[#p + 1] = i .. '@' .. at end
      out = table.concat(p, ',')`,
    decoded: "out = cjson.encode(cjson.decode(text))",
  },
  {
    name: "streamed quote",
    text: `1084230,${AT_MS}`,
    json: `{"priceMicros":1084230,"sourceTimeMs":${AT_MS}}`,
    packed: `out = tonumber(string.match(text, ',(%d+)$'))`,
    decoded: "out = cjson.decode(text).sourceTimeMs",
  },
  {
    name: "open signal",
    text: `EUR/USD ${signalIdOf(1)} local/desk/0=512;local/desk/1=512;`,
    json: JSON.stringify({
      symbol: "EUR/USD",
      id: signalIdOf(1),
      places: { "local/desk/0": 512, "local/desk/1": 512 },
    }),
    packed: `local s, i, p = string.match(text, '^(%S+) (%S+) (.*)$')
      for place, copies in string.gmatch(p, '([^;]+)=(%d+);') do out = tonumber(copies) end`,
    decoded: "for place, copies in pairs(cjson.decode(text).places) do out = copies end",
  },
];

interface Figures {
  readonly name: string;
  readonly bytes: number;
  readonly jsonBytes: number;
  readonly writeNs: number;
  readonly jsonWriteNs: number;
  readonly readNs: number;
  readonly jsonReadNs: number;
}

/** By turns, so that both meet the same machine. */
function measureInTurns(...works: readonly (() => unknown)[]): number[] {
  const times = works.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, work] of works.entries()) {
      const from = performance.now();
      for (let call = 0; call < CALLS; call += 1) sink = work();
      times[index]?.push(((performance.now() - from) * 1e6) / CALLS);
    }
  }
  return times.map(median);
}
/** Keeps the engine from leaving out work whose result is not read. */
let sink: unknown;

function measure({ name, value, write, read }: Encoding): Figures {
  const [text, json] = [write(), JSON.stringify(value)];
  const [writeNs = 0, jsonWriteNs = 0, readNs = 0, jsonReadNs = 0] = measureInTurns(
    write,
    () => JSON.stringify(value),
    () => read(text),
    () => JSON.parse(json) as unknown,
  );
  return {
    name,
    bytes: text.length,
    jsonBytes: json.length,
    writeNs,
    jsonWriteNs,
    readNs,
    jsonReadNs,
  };
}

interface LuaFigures {
  readonly name: string;
  readonly ns: number;
  readonly jsonNs: number;
}

async function measureLua(): Promise<LuaFigures[]> {
  const server = await startRedis();
  const redis = connectRedis(server.url);
  const time = async (body: string, text: string): Promise<number> => {
    const lua = `local text, out = [=[${text}]=] for i = 1, ${CALLS} do ${body} end return tostring(out)`;
    const from = performance.now();
    await redis.send("EVAL", [lua, "0"]);
    return ((performance.now() - from) * 1e6) / CALLS;
  };
  const figures: LuaFigures[] = [];
  for (const { name, text, json, packed, decoded } of LUA_ENCODINGS) {
    const [ns, jsonNs]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round += 1) {
      ns.push(await time(packed, text));
      jsonNs.push(await time(decoded, json));
    }
    figures.push({ name, ns: median(ns), jsonNs: median(jsonNs) });
  }
  redis.close();
  await server.stop();
  return figures;
}

export async function run(args: string[]): Promise<void> {
  const options = readOptions(args, { json: "" });
  const figures = ENCODINGS.map(measure);
  const lua = await measureLua();
  showProgress("");
  console.log(
    table(
      ["text", "bytes", "as JSON", "write ns", "as JSON", "read ns", "as JSON"],
      figures.map((each) => [
        each.name,
        each.bytes,
        each.jsonBytes,
        each.writeNs,
        each.jsonWriteNs,
        each.readNs,
        each.jsonReadNs,
      ]),
    ),
  );
  console.log(
    table(
      ["in Redis' Lua", "ns", "as JSON"],
      lua.map(({ name, ns, jsonNs }) => [name, ns, jsonNs]),
    ),
  );
  if (sink === undefined) throw new Error("nothing was measured");
  await writeReport(options.json, { figures, lua });
}

/**
 * The rule of binary contracts is in the desk's scripts. The scripts and a plain model
 * execute the same random sequences at the same times, and must end with the same books.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { AccountId } from "../../domain/ids.ts";
import { MAX_AMOUNT_CENTS } from "../../domain/money.ts";
import { CONTRACT_TYPES } from "../../domain/products/binary.ts";
import { run, type Redis } from "../../workers/runtime/redis.ts";
import { parseBucket } from "../../workers/desk/stored/books.ts";
import { deposit } from "../../workers/desk/stored/deposit.ts";
import { openContracts, type OpenReply } from "../../workers/desk/stored/open.ts";
import { writeDeskQuotes } from "../../workers/desk/stored/quotes.ts";
import { sellContracts } from "../../workers/desk/stored/sell.ts";
import { settleBatch, type SettledContract } from "../../workers/desk/stored/settle.ts";
import { clientReply, Engine } from "../sim/redis/engine.ts";
import { RedisError } from "../sim/redis/values.ts";
import { ContractModel, type ModelContract } from "../support/contract-model.ts";
import { noteWhole } from "../../workers/desk/stored/whole.ts";
import { BUCKET, DESK, DESK_CALL } from "../support/contracts.ts";
import { signalIdOf } from "../support/signals.ts";

const START_MS = 1_700_000_000_000;
const SYMBOL = "EUR/USD";
const DEPOSITS = { poor: 500, rich: 900 * MAX_AMOUNT_CENTS };

/** The Redis of the simulation: it runs the real scripts, and its clock can be set. */
class Desk {
  nowMs = START_MS;
  readonly #engine = new Engine();
  readonly redis: Redis = {
    send: async (command, args) => {
      try {
        return clientReply(this.#engine.execute(command, args, this.nowMs).reply);
      } catch (error) {
        throw error instanceof RedisError ? new Error(error.message) : error;
      }
    },
    close: () => undefined,
  };

  async balances(): Promise<Record<string, number>> {
    const stored = (await this.redis.send("HGETALL", [DESK.balances])) as Record<string, string>;
    return Object.fromEntries(Object.entries(stored).map(([name, cents]) => [name, Number(cents)]));
  }

  async contracts() {
    const stored = await this.redis.send("HGETALL", [DESK.contracts(BUCKET)]);
    return parseBucket(BUCKET, stored).map(({ clientOrderId, terms, sale, ...rest }) => ({
      ...rest,
      ...terms,
      name: clientOrderId.slice(BUCKET.length + 1),
    }));
  }

  /** What followers of settlements read: how each contract ended, and what was returned. */
  async settlements(): Promise<[name: string, state: string, returnCents: number][]> {
    const entries = (await this.redis.send("XRANGE", [DESK.settlements, "-", "+"])) as [
      string,
      string[],
    ][];
    return entries.flatMap(([, flat]) => {
      const settled = JSON.parse(flat[flat.indexOf("settled") + 1]!) as SettledContract[];
      return settled.map(([id, , kind, cents]): [string, string, number] => [
        id.slice(BUCKET.length + 1),
        kind,
        cents,
      ]);
    });
  }
}

const stakeCents = fc.oneof(
  fc.integer({ min: 1, max: 300 }),
  fc.constantFrom(MAX_AMOUNT_CENTS, MAX_AMOUNT_CENTS - 1),
);
const step = fc.oneof(
  fc.record({
    kind: fc.constant("pass" as const),
    ms: fc.constantFrom(1, 999, 1_000, 1_001, 20_000, 59_999, 60_000, 60_001, 130_000),
  }),
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("quote" as const),
      priceMicros: fc.integer({ min: 999_998, max: 1_000_002 }),
      ageMs: fc.constantFrom(0, 0, 0, 1, 1_000, 1_001, 30_000),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("open" as const),
      shard: fc.nat(1),
      orders: fc.uniqueArray(
        fc.record({
          number: fc.nat(5),
          account: fc.constantFrom("poor", "rich", "rich", "nobody"),
          stakeCents,
        }),
        { selector: ({ number }) => number, minLength: 1, maxLength: 4 },
      ),
      contract: fc.constantFrom(...CONTRACT_TYPES),
      payoutBp: fc.constantFrom(1, 8_500, 9_999, 20_000),
      durationMs: fc.constantFrom(1_000, 7_919, 60_000),
      leftMs: fc.constantFrom(-1, 0, 5_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("sell" as const),
      shard: fc.nat(1),
      numbers: fc.uniqueArray(fc.nat(5), { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("settle" as const) }) },
);

const nameIn = (shard: number) => (number: number) => `${shard}-${number}`;

function listAnswers(reply: OpenReply, count: number): string[] {
  if (reply.kind === "all-opened") return new Array<string>(count).fill("opened");
  return reply.opened.map((each) => (each.kind === "opened" ? each.kind : each.reason));
}

/** The outcomes, without the fields that the books do not store. */
const stored = ({ returnCents: _, ...contract }: ModelContract) => contract;

test("opening, selling and settling give the books of a plain model, to the cent, in any sequence", async () => {
  const ended = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 20, maxLength: 60, size: "max" }),
      async (steps) => {
        const desk = new Desk();
        const model = new ContractModel();
        const { redis } = desk;
        await run(redis, noteWhole, { partition: DESK_CALL.partition });
        for (const [account, amountCents] of Object.entries(DEPOSITS)) {
          model.balances.set(account, amountCents);
          const deposits = [{ id: account, account: account as AccountId, amountCents }];
          await run(redis, deposit, { ...DESK_CALL, deposits });
        }
        for (const each of steps) {
          const { nowMs } = desk;
          if (each.kind === "pass") desk.nowMs += each.ms;
          if (each.kind === "quote") {
            const tick = { priceMicros: each.priceMicros, sourceTimeMs: nowMs - each.ageMs };
            await run(redis, writeDeskQuotes, {
              desk: DESK,
              quotes: [{ symbol: SYMBOL, ...tick }],
            });
            model.quote(tick);
          }
          if (each.kind === "open") {
            const { shard, orders, leftMs, contract, payoutBp, durationMs } = each;
            const names = orders.map(({ number }) => nameIn(shard)(number));
            const terms = { contract, payoutBp, durationMs, validUntilMs: nowMs + leftMs };
            const reply = await run(redis, openContracts, {
              ...DESK_CALL,
              ...terms,
              symbol: SYMBOL,
              orders: {
                bucket: BUCKET,
                shard,
                names,
                accounts: orders.map(({ account }) => account as AccountId),
                stakesCents: orders.map((order) => order.stakeCents),
              },
            });
            const wanted = model.open(
              nowMs,
              orders.map((order, index) => ({ ...order, name: names[index]! })),
              terms,
            );
            expect(listAnswers(reply, names.length)).toEqual(wanted);
          }
          if (each.kind === "sell") {
            const names = each.numbers.map(nameIn(each.shard));
            const orders = { bucket: BUCKET, shard: each.shard, names };
            await run(redis, sellContracts, { ...DESK_CALL, close: signalIdOf(2), orders });
            model.sell(nowMs, names);
          }
          if (each.kind === "settle") {
            for (const name of (await redis.send("ZRANGE", [
              DESK.expiries,
              "0",
              "-1",
            ])) as string[]) {
              await run(redis, settleBatch, { ...DESK_CALL, name });
            }
            model.settleDue(nowMs);
          }
          expect(await desk.balances()).toEqual(Object.fromEntries(model.balances));
        }
        const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
        const contracts = (await desk.contracts()).toSorted(byName);
        expect(contracts as unknown[]).toEqual(
          [...model.contracts.values()].map(stored).toSorted(byName),
        );
        const over = [...model.contracts.values()].filter(({ state }) => state !== "open");
        expect((await desk.settlements()).map(String).toSorted()).toEqual(
          over.map(({ name, state, returnCents }) => String([name, state, returnCents])).toSorted(),
        );
        for (const { state } of over) ended.add(state);
      },
    ),
    { numRuns: 150 },
  );
  expect([...ended].toSorted()).toEqual(["lost", "sold", "void", "won"]);
});

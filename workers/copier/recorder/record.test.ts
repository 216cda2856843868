import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { clientOrderId, type AccountId, type SubscriptionId } from "../../../domain/ids.ts";
import type { Outcome } from "../../../domain/copier/outcome.ts";
import { acceptedOpen, signalIdOf } from "../../../tests/support/signals.ts";
import type { Entry } from "../../runtime/entries.ts";
import type { OrderRecord, Records } from "../../records/port.ts";
import { openSqliteRecords } from "../../records/sqlite/open.ts";
import { packEvent } from "../../../tests/support/copies.ts";
import type {
  ChainLink,
  ClosuresEvent,
  OutcomesEvent,
  RegionEvent,
  SettlementsEvent,
} from "../stored/events.ts";
import { recordEvents, recordLinks, recordSignals } from "./record.ts";

const SIGNAL = acceptedOpen();
const [ANN, ACCOUNT] = ["ann" as SubscriptionId, "acct" as AccountId];
const ORDER = clientOrderId(SIGNAL.id, ANN);
const PLACED: Outcome = {
  kind: "placed",
  stakeCents: 100,
  openPriceMicros: 5,
  openedAtMs: 6,
  expiresAtMs: 7,
};
const UNKNOWN: Outcome = { kind: "unknown", stakeCents: 100 };

let folder: string;
let records: Records;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fanfare-record-"));
  records = openSqliteRecords(folder);
});
afterEach(async () => {
  await records.close();
  rmSync(folder, { recursive: true, force: true });
});

const makeEvent = (outcome: Outcome, subscription = ANN): OutcomesEvent => ({
  kind: "outcomes",
  signal: SIGNAL.id,
  broker: "desk",
  shard: 0,
  acceptedAtMs: 1,
  dispatchedAtMs: 2,
  decidedAtMs: 3,
  sentAtMs: 4,
  answeredAtMs: 5,
  copies: [[subscription, ACCOUNT, outcome]],
});
const makeSettlement = (subscription = ANN): SettlementsEvent => ({
  kind: "settlements",
  broker: "desk",
  settlements: [
    {
      clientOrderId: clientOrderId(SIGNAL.id, subscription),
      kind: "won",
      returnCents: 185,
      closePriceMicros: 8,
      settledAtMs: 9,
    },
  ],
});

const entry = (fields: Readonly<Record<string, string>>): Entry => ({
  id: "1-0",
  fields: new Map(Object.entries(fields)),
});
const makeEntry = (event: RegionEvent): Entry =>
  entry({ event: JSON.stringify(event.kind === "outcomes" ? packEvent(event) : event) });

const record = (...events: RegionEvent[]) =>
  recordEvents(records, () => 1_000)(events.map(makeEntry));

async function order(id: string = ORDER): Promise<OrderRecord> {
  const found = await records.orders.get(id);
  if (!found) throw new Error("not recorded");
  return found;
}

describe("a copy", () => {
  test("is an order under its client order id, with its outcome and times (P10)", async () => {
    expect(await record(makeEvent(PLACED))).toEqual(["done"]);
    expect(await order()).toEqual({
      _id: ORDER,
      signal: SIGNAL.id,
      subscription: "ann",
      account: "acct",
      broker: "desk",
      outcome: "placed",
      stakeCents: 100,
      openPriceMicros: 5,
      openedAtMs: 6,
      expiresAtMs: 7,
      acceptedAtMs: 1,
      dispatchedAtMs: 2,
      decidedAtMs: 3,
      sentAtMs: 4,
      answeredAtMs: 5,
      recordedAtMs: 1e3,
    });
  });

  test("that was skipped was never sent, even if others of its shard were", async () => {
    await record(makeEvent({ kind: "skipped", reason: "PAUSED" }));
    expect(await order()).toMatchObject({ outcome: "skipped", reason: "PAUSED" });
    expect(await order()).not.toHaveProperty("sentAtMs");
    expect(await order()).not.toHaveProperty("answeredAtMs");
  });

  test("that was unknown gets its later outcome, and is never unknown again", async () => {
    await record(makeEvent(UNKNOWN));
    expect(await order()).toMatchObject({ outcome: "unknown" });
    await record(makeEvent(PLACED));
    await record(makeEvent(UNKNOWN));
    expect(await order()).toMatchObject({ outcome: "placed", openPriceMicros: 5 });
    await record(makeEvent(UNKNOWN), makeEvent(PLACED));
    expect(await order()).toMatchObject({ outcome: "placed" });
  });

  test("and its settlement are one order, in either order of arrival", async () => {
    await record(makeSettlement());
    expect(await order()).toMatchObject({ signal: SIGNAL.id, subscription: "ann" });
    await record(makeEvent(PLACED));
    expect(await order()).toMatchObject({
      outcome: "placed",
      settlement: "won",
      returnCents: 185,
      closePriceMicros: 8,
    });
  });

  test("that was closed has its own order beside the one that it closes", async () => {
    const closures: ClosuresEvent = {
      kind: "closures",
      signal: signalIdOf(9),
      of: SIGNAL.id,
      broker: "desk",
      shard: 0,
      acceptedAtMs: 11,
      dispatchedAtMs: 12,
      decidedAtMs: 13,
      sentAtMs: 14,
      answeredAtMs: 15,
      copies: [
        [
          ...([ANN, ACCOUNT] as const),
          {
            kind: "closed",
            stakeCents: 100,
            returnCents: 90,
            closePriceMicros: 5,
            closedAtMs: 14,
          },
        ],
      ],
    };
    await record(makeEvent(PLACED), closures);
    expect(await order()).toMatchObject({ outcome: "placed", acceptedAtMs: 1 });
    expect(await order(`${signalIdOf(9)}.${ORDER}`)).toMatchObject({
      outcome: "closed",
      closes: ORDER,
      signal: signalIdOf(9),
      returnCents: 90,
    });
  });
});

test("events give the same records in any order, in any batches, and with any repetitions", async () => {
  const all = (name: SubscriptionId) => [
    makeEvent(UNKNOWN, name),
    makeEvent(PLACED, name),
    makeSettlement(name),
  ];
  const stored = async (name: SubscriptionId): Promise<object> => {
    const { _id, subscription, ...rest } = await order(clientOrderId(SIGNAL.id, name));
    return rest;
  };
  await record(...all(ANN));
  const wanted = await stored(ANN);
  const index = fc.nat({ max: 2 });
  const played = fc.record({
    more: fc.array(index, { maxLength: 6 }),
    each: fc.shuffledSubarray([0, 1, 2], { minLength: 3 }),
    cut: fc.nat({ max: 9 }),
  });
  let count = 0;
  await fc.assert(
    fc.asyncProperty(played, async ({ more, each, cut }) => {
      count += 1;
      const name = `sub-${count}` as SubscriptionId;
      const events = [...more, ...each].flatMap((which) => all(name).slice(which, which + 1));
      await record(...events.slice(0, cut));
      await record(...events.slice(cut));
      expect(await stored(name)).toEqual(wanted);
    }),
    { numRuns: 40 },
  );
});

describe("a signal", () => {
  const fields = { signal: JSON.stringify(SIGNAL), sha256: "f".repeat(64), followers: "3" };
  const link: ChainLink = {
    signal: SIGNAL.id,
    channel: "demo",
    sequence: 1,
    previousHash: "0".repeat(64),
    linkHash: "a".repeat(64),
  };
  const linkEntry = entry({ link: JSON.stringify(link) });

  test("and its link are one record, in either order of arrival", async () => {
    const { id, ...rest } = SIGNAL;
    for (const first of ["signal", "link"]) {
      if (first === "link") {
        await recordLinks(records)([linkEntry]);
        // If the reconciler finds nothing else of the signal, this gives its time.
        expect(await records.signals.get(id)).toMatchObject({ linkedAtMs: 1 });
      }
      await recordSignals(records)([entry(fields)]);
      await recordLinks(records)([linkEntry]);
      expect((await records.signals.get(id)) as object).toEqual({
        ...rest,
        _id: id,
        sha256: "f".repeat(64),
        followers: 3,
        previousHash: "0".repeat(64),
        linkHash: "a".repeat(64),
        linkedAtMs: 1,
      });
    }
  });
});

test("an entry that cannot be read is reported in its place, and the others are recorded", async () => {
  const verdicts = await recordEvents(
    records,
    () => 1_000,
  )([entry({ event: "{" }), makeEntry(makeEvent(PLACED)), entry({})]);
  expect(verdicts).toEqual([{ dead: "event is not JSON" }, "done", { dead: "event is missing" }]);
  expect(await order()).toMatchObject({ outcome: "placed" });
});

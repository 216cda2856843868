/**
 * Contracts and stocks share one ledger and one audit: an account's events explain every cent of
 * it.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { AccountId, SignalId, SubscriptionId } from "../../domain/ids.ts";
import { eventsOf, parseAuditEntry, type AuditEvent } from "../../workers/desk/stored/audit.ts";
import { PartitionMap } from "../../redis/keys.ts";
import { DeskKeys } from "../../workers/desk/stored/keys.ts";
import { auditOf } from "../../workers/desk/audit/merged.ts";
import type { AuditStore } from "../../workers/desk/audit/port.ts";
import { connectRedis } from "../../workers/runtime/redis-client.ts";
import type { Redis } from "../../workers/runtime/redis.ts";
import { startDesk, type TestDesk } from "../support/desk.ts";
import { sendLines } from "../support/trading-desk.ts";
import { until } from "../support/wait.ts";

/** Without a recorder, entries remain in the streams. */
const NOTHING_STORED: AuditStore = {
  append: async () => {},
  first: async () => undefined,
  async *read() {},
  close: async () => {},
};
const partitions = new PartitionMap(4);

let desk: TestDesk;
let client: Redis;
beforeAll(async () => {
  desk = await startDesk();
  client = connectRedis(desk.redis.url);
}, 30_000);
afterAll(async () => {
  client.close();
  await desk.stop();
});

async function audited(): Promise<AuditEvent[]> {
  const events: AuditEvent[] = [];
  for (const partition of partitions.all()) {
    for await (const { fields } of auditOf(NOTHING_STORED, client, partition)) {
      events.push(...eventsOf(parseAuditEntry(fields)!));
    }
  }
  return events;
}

test("deposits, stakes, returns and sales are audited with the change, like the commands of their users", async () => {
  const accounts = Array.from({ length: 30 }, (_, index) => `trader${index}` as AccountId);
  await desk.deposit(accounts, 10_000);
  const batch = {
    symbol: "EUR/USD",
    contract: "CALL" as const,
    durationSeconds: 1,
    validUntilMs: Date.now() + 5_000,
    shard: 0,
    orders: accounts.map((account, index) => ({
      clientOrderId: `s0_${"0".repeat(32)}.${index}` as never,
      subscription: String(index) as SubscriptionId,
      account,
      // The last few cannot pay.
      stakeCents: index < 25 ? 1_000 + index : 20_000,
    })),
  };
  await desk.broker.open(batch);
  const reused = { ...batch, shard: 1, durationSeconds: 3_600, orders: batch.orders.slice(0, 5) };
  const ids = reused.orders.map((order) => ({
    ...order,
    clientOrderId: `s0_${"0".repeat(32)}.${order.subscription}s` as never,
  }));
  await desk.broker.open({ ...reused, orders: ids });
  const close = `s0_${"1".repeat(32)}` as SignalId;
  const closing = { close, symbol: "EUR/USD", shard: 1, orders: ids };
  const sold = await desk.broker.close(closing);
  expect(sold).toMatchObject({ answers: ids.map(() => ({ kind: "closed" })) });
  // A second sale returns the first one, and a second opening opens nothing: neither adds an
  // event.
  await desk.broker.close(closing);
  await desk.broker.open(batch);
  const replies = await sendLines(
    desk,
    desk.token,
    accounts.map((account) => `ADD,${account},1.00`),
  );
  expect(replies.every(({ ok }) => ok)).toBe(true);
  await until("all are settled", async () => {
    const waiting = partitions
      .all()
      .map((each) => client.send("ZCARD", [new DeskKeys(each).expiries]));
    return (await Promise.all(waiting)).every((count) => count === 0);
  });

  const events = await audited();
  const named = (name: string) => events.filter((event) => "name" in event && event.name === name);
  expect(named("DEPOSIT")).toHaveLength(30);
  expect(named("STAKE")).toHaveLength(30);
  const sums = new Map<string, number>();
  for (const event of events) {
    for (const moved of "movedCents" in event ? event.movedCents : []) {
      sums.set(event.user, (sums.get(event.user) ?? 0) + moved);
    }
  }
  const expected = new Map<string, string>();
  for (const partition of partitions.all()) {
    const balances = await client.send("HGETALL", [new DeskKeys(partition).balances]);
    for (const [account, cents] of Object.entries(balances as object))
      expected.set(account, String(cents));
    for await (const { fields } of auditOf(NOTHING_STORED, client, partition)) {
      const flat = parseAuditEntry(fields)!.changed.get("balances")?.split("\n") ?? [];
      expect(flat.length % 2).toBe(0);
    }
  }
  expect(expected.size).toBe(30);
  for (const [account, cents] of expected) {
    expect([account, sums.get(account)]).toEqual([account, Number(cents)]);
  }
}, 30_000);

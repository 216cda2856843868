/** The desk's audit, on its way from the streams into its store. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "bun:test";
import { parseAuditEntry, eventsOf } from "../stored/audit.ts";
import { AccountBook } from "../accounts/book.ts";
import { executeCommands } from "../accounts/execute.ts";
import { DeskKeys } from "../stored/keys.ts";
import { deadLetters } from "../../../redis/streams.ts";
import { startRole } from "../../../tests/support/role.ts";
import { openRedis } from "../../../tests/support/own-redis.ts";
import { until } from "../../../tests/support/wait.ts";
import { auditOf } from "./merged.ts";
import { openAudit } from "./open.ts";

const STREAM = new DeskKeys(0).audit;
const folder = mkdtempSync(join(tmpdir(), "fanfare-audit-"));

const { server, redis } = await openRedis();
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const startAudit = () =>
  startRole("audit", {
    FANFARE_REDIS_URL: server.url,
    FANFARE_DATA: folder,
    FANFARE_PARTITIONS: "1",
  });

test("every acknowledged command is in the audit at any moment, also during a drain and a trim", async () => {
  const store = await openAudit({ FANFARE_DATA: folder });
  const add = {
    name: "ADD",
    user: "u",
    symbol: "",
    cents: 1,
    priceCents: 0,
    quoteTimeMs: 0,
    session: "",
    n: 0,
  };
  const accounts = new AccountBook(redis, { partition: 0, partitions: 1, server: "d" });
  const done: number[] = [];
  const trade = async () => {
    const replies = await executeCommands(accounts, [add, add, add], 1_000);
    done.push(...replies.map(({ transaction }) => transaction));
  };
  const transactions = async (user?: string): Promise<number[]> => {
    const found: number[] = [];
    for await (const { fields } of auditOf(store, redis, 0, user)) {
      for (const { transaction } of eventsOf(parseAuditEntry(fields)!)) found.push(transaction);
    }
    return found;
  };

  await trade();
  const audit = await startAudit();
  let trimmed = false;
  while (!trimmed) {
    for (let count = 0; count < 40; count += 1) await trade();
    expect(await transactions("u")).toEqual(done);
    trimmed = Number(await redis.send("XLEN", [STREAM])) < done.length / 3;
  }
  await audit.stop();
  await trade();
  expect(await transactions()).toHaveLength(done.length);
  expect(await transactions("nobody")).toEqual([]);
  await store.close();
}, 30_000);

test("an invalid entry is set aside as a dead letter, and the next one is stored", async () => {
  await redis.send("XADD", [STREAM, "*", "nothing", "of ours"]);
  const audit = await startAudit();
  await until(
    "it is a dead letter",
    async () => (await redis.send("XLEN", [deadLetters(STREAM)])) === 1,
  );
  await audit.stop();
});

/**
 * The workloads of real users, run through a desk with two servers. Each user sends in
 * order and waits for each reply; all users run at once. The books equal those of the
 * plain model, and the log is valid and complete.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "bun:test";
import { isBlank, parseDeskLine, type DeskLine } from "../../domain/desk/command.ts";
import { DeskModel } from "../support/desk-model.ts";
import type { AccountId } from "../../domain/ids.ts";
import { readAccounts } from "../../workers/desk/stored/accounts.ts";
import { PartitionMap } from "../../redis/keys.ts";
import { run } from "../../workers/runtime/redis.ts";
import { DAY_TRADING } from "../support/data.ts";
import { openDeskSocket } from "../support/desk-socket.ts";
import { need } from "../support/needs.ts";
import { startTradingDesk } from "../support/trading-desk.ts";
import { findFaults, findXmllint } from "../support/xmllint.ts";

const FILES = ["1userWorkLoad", "2userWorkLoad", "10User_testWorkLoad", "45User_testWorkLoad"];
const there = need("the day-trading workloads", existsSync(DAY_TRADING), `no ${DAY_TRADING}`);
const xmllint = findXmllint();
need("the log's schema", xmllint !== undefined, "no xmllint");

const PRICE_CENTS = 500;
const partitions = new PartitionMap(4);

describe.skipIf(!there)("the workload", () => {
  test.each(FILES)(
    "%s ends with the books of the plain model and a log that is valid and complete",
    async (file) => {
      const lines = (await Bun.file(join(DAY_TRADING, file)).text())
        .split("\n")
        .filter((line) => !isBlank(line))
        .map((text) => ({ text: text.replace(/^\[\d+\] /, ""), parsed: parseDeskLine(text) }));
      const symbols = new Set(lines.map(({ parsed }) => readFields(parsed).symbol));
      symbols.delete("");
      const desk = await startTradingDesk({
        servers: 2,
        prices: Object.fromEntries([...symbols].map((symbol) => [symbol, "5.00"])),
      });
      const sockets = await Promise.all(
        desk.servers.map((server) => openDeskSocket(server, desk.token)),
      );
      try {
        const model = new DeskModel(100_000_000);
        const refusals = { desk: 0, model: 0 };
        const byUser = Map.groupBy(
          lines.filter(({ parsed }) => readFields(parsed).user !== ""),
          ({ parsed }) => readFields(parsed).user,
        );
        await Promise.all(
          [...byUser.values()].map(async (own, index) => {
            for (const { text, parsed } of own) {
              const reply = await sockets[index % 2]!.send(text);
              refusals.desk += reply.ok ? 0 : 1;
              const expected =
                parsed.kind === "refused"
                  ? { ok: false, code: parsed.code }
                  : model.execute(
                      parsed.command,
                      Date.now(),
                      parsed.command.symbol === "" ? undefined : PRICE_CENTS,
                    );
              refusals.model += expected.ok ? 0 : 1;
              expect([text, reply]).toMatchObject([text, expected]);
            }
          }),
        );
        const books = [...model.books()];
        for (const [user, expected] of books) {
          const partition = partitions.ofAccount(user as AccountId);
          expect(await run(desk.client, readAccounts, { partition, users: [user] })).toEqual([
            expected,
          ]);
        }
        expect(await sockets[0]!.send("DUMPLOG,./testLOG")).toMatchObject({ ok: true });
        const path = join(desk.data, "dumps/testLOG");
        const log = await Bun.file(path).text();
        const commands = [...byUser.values()].flat().length + 1;
        expect(log.match(/<userCommand>/g)).toHaveLength(commands);
        expect(log.match(/<errorEvent>/g) ?? []).toHaveLength(refusals.desk);
        expect(refusals.desk).toBe(refusals.model);
        if (xmllint !== undefined) {
          expect(await findFaults(xmllint, join(DAY_TRADING, "logfile.xsd"), path)).toBe("");
        }
      } finally {
        for (const socket of sockets) socket.close();
        await desk.stop();
      }
    },
    60_000,
  );
});

function readFields(line: DeskLine): { readonly user: string; readonly symbol: string } {
  return line.kind === "command" ? line.command : line.read;
}

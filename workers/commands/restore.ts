/**
 * `npm run desk:restore [-- --force]`: rebuilds the desk's accounts from its audit after Redis lost
 * any of them.
 */
import * as v from "valibot";
import { openAudit } from "../desk/audit/open.ts";
import { restorePartition, type Restored } from "../desk/restore/restore.ts";
import { AUDIT_STORE, CONSUMER, REDIS } from "../runtime/env.ts";
import type { Command } from "./command.ts";

/** The most accounts that are named. */
const NAMED = 10;

interface Asked {
  readonly force: boolean;
}

const RestoreEnv = v.object({ ...REDIS, ...CONSUMER, ...AUDIT_STORE });

export const command: Command<typeof RestoreEnv, Asked> = {
  description: "rebuilds the desk's accounts from its audit after Redis lost any of them",
  usage: "usage: npm run desk:restore [-- --force]",
  exits: {
    0: "every partition agrees with its audit",
    1: "the printed partitions were left as they are",
    2: "nothing could be restored, or the words or the settings cannot be read",
  },
  settings: RestoreEnv,
  failure: { says: "nothing could be restored", exit: 2 },
  declare: (words) =>
    words.option(
      "--force",
      "return to the audit's state even if Redis has more transactions or other balances",
    ),
  read: (words) => ({ force: words.opts<Partial<Asked>>().force ?? false }),
  async run({ settings, connections: { redis, partitions }, clock }, { force }) {
    const store = await openAudit(settings);
    try {
      const { FANFARE_CONSUMER: server } = settings;
      const restored: Restored[] = [];
      for (const partition of partitions.all()) {
        const options = { redis, store, partitions, server, nowMs: clock.nowMs(), force };
        restored.push(await restorePartition(options, partition));
      }
      for (const each of restored)
        console.log(`partition ${each.partition}: ${formatRestored(each)}`);
      return restored.every(({ kind }) => kind === "intact" || kind === "restored") ? 0 : 1;
    } finally {
      await store.close();
    }
  },
};

function formatRestored(each: Restored): string {
  const format = (value: number): string => value.toLocaleString("en");
  switch (each.kind) {
    case "intact":
      return "agrees with its audit";
    case "restored":
      return `restored ${format(each.accounts)} accounts as of ${new Date(each.untilMs).toISOString()} (${format(each.differences)} fields differed)`;
    case "newer":
      return `left as it is: it has ${format(each.transactions)} transactions, and the audit knows only ${format(each.audited)} of them; --force restores those`;
    case "contradicted": {
      const names = each.accounts.slice(0, NAMED).join(", ");
      const more = each.accounts.length > NAMED ? ", …" : "";
      return `left as it is: the events of ${format(each.accounts.length)} accounts do not add up to their balance (${names}${more}); --force restores their last balance`;
    }
    case "moved":
      break;
  }
  return "left as it is: the desk is working; stop its servers and try again";
}

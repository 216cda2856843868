/**
 * `npm run desk:prove`: checks for every account of the desk, also while it works, that the account
 * events of the audit add up to the balance.
 */
import * as v from "valibot";
import { openAudit } from "../desk/audit/open.ts";
import { linesOf, proveBooks } from "../desk/prove/prove.ts";
import { AUDIT_STORE, REDIS } from "../runtime/env.ts";
import type { Command } from "./command.ts";

const ProveEnv = v.object({ ...REDIS, ...AUDIT_STORE });

export const command: Command<typeof ProveEnv, void> = {
  description: "proves that the desk's audit adds up to the balance of every account",
  usage: "usage: npm run desk:prove",
  exits: {
    0: "the books hold",
    1: "the books of the printed accounts are wrong",
    2: "nothing could be proven, or the words or the settings cannot be read",
  },
  settings: ProveEnv,
  failure: { says: "nothing could be proven", exit: 2 },
  declare: (words) => words,
  read: () => undefined,
  async run({ settings, connections: { redis, partitions } }) {
    const store = await openAudit(settings);
    try {
      const proof = await proveBooks(redis, store, partitions);
      console.log(linesOf(proof).join("\n"));
      return proof.differences.length === 0 ? 0 : 1;
    } finally {
      await store.close();
    }
  },
};

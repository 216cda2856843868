/**
 * Splits the desk's audit. Every partition gets an entry that records the split,
 * with the same id in all of them, and its numbers continue above those of the
 * partition that it was split from. Earlier entries stay where they were written.
 */
import { PartitionMap } from "../../../redis/keys.ts";
import type { Raise } from "../../../redis/format.ts";
import type { AuditStore } from "../../desk/audit/port.ts";
import { raisedEvent } from "../../desk/stored/audit.ts";
import { DeskKeys, deskKeys } from "../../desk/stored/keys.ts";
import { deskMark } from "../../desk/stored/restore.ts";
import { isAfter } from "../../desk/audit/merged.ts";
import { asInteger, defineScript } from "../../../redis/script.ts";
import { run, type Redis } from "../../runtime/redis.ts";

export interface AuditParts {
  readonly redis: Redis;
  readonly store: AuditStore;
  readonly server: string;
  readonly raise: Raise;
}

interface SplitArgs {
  readonly partition: number;
  readonly id: string;
  /** The number of transactions, including this one. */
  readonly counted: number;
  readonly fields: ReadonlyMap<string, string>;
}

/** Takes effect once, however many times it is repeated. */
const splitAudit = defineScript<SplitArgs, boolean>({
  name: "split-audit",
  lua: `
if redis.call('EXISTS', audit) == 1 and #redis.call('XRANGE', audit, id, id) > 0 then return 0 end
redis.call('SET', transactions, counted)
redis.call('SET', audited, counted)
redis.call('XADD', audit, id, unpack(ARGV, rest))
return 1
`,
  keys: deskKeys("audit", "transactions", "audited"),
  args: {
    id: ({ id }) => id,
    counted: ({ counted }) => counted,
  },
  rest: ({ fields }) => [...fields].flat(),
  reply: (raw) => asInteger(raw) === 1,
});

/** The time of the entries: after every entry of the audit. */
export async function momentAfter(redis: Redis, from: number, nowMs: number): Promise<number> {
  let atMs = nowMs;
  for (let partition = 0; partition < from; partition += 1) {
    const { audit } = await run(redis, deskMark, { partition });
    atMs = Math.max(atMs, Number(audit.split("-")[0]) + 1);
  }
  return atMs;
}

export async function splitAudits({ redis, store, server, raise }: AuditParts): Promise<void> {
  const { from, to, atMs } = raise;
  const id = `${atMs}-0`;
  for (const partition of new PartitionMap(from).all()) {
    // The old partition is last: until then its counter does not change.
    const family = new PartitionMap(to).all().filter((each) => each % from === partition);
    const { audit, transactions } = await run(redis, deskMark, { partition });
    if (!isAfter(id, audit)) continue;
    const before = Number(await redis.send("GET", [new DeskKeys(partition).transactions]));
    const counted = Math.max(before, transactions) + 1;
    for (const each of family.toReversed()) {
      const fields = new Map([
        ...([
          ["at", String(atMs)],
          ["server", server],
          ["users", ""],
        ] as const),
        ["events", raisedEvent((counted - 1) * to + each + 1, from, to)] as const,
      ]);
      await store.append([{ partition: each, id, fields }]);
      await run(redis, splitAudit, { partition: each, id, counted, fields });
    }
  }
}

/**
 * Finds the first new partition that already has an audit. A new partition's audit
 * must begin when it is split off.
 */
export async function findAudited(
  store: AuditStore,
  { from, to }: Raise,
): Promise<number | undefined> {
  for (let partition = from; partition < to; partition += 1) {
    if (await store.first(partition)) return partition;
  }
  return undefined;
}

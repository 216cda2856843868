/**
 * Proves the desk's books from its audit: the account events of every account must add up
 * to its balance. It may run while the desk works. Each page of balances is read together
 * with the position of the audit, and the events are added up to exactly that position.
 */
import type { AccountId } from "../../../domain/ids.ts";
import { eventsOf, raisedFrom } from "../stored/audit.ts";
import type { PartitionMap } from "../../../redis/keys.ts";
import { deskKeys } from "../stored/keys.ts";
import { asList, asText, defineScript } from "../../../redis/script.ts";
import { historyOf } from "../audit/history.ts";
import { auditOf, isAfter, nextOf } from "../audit/merged.ts";
import type { AuditStore } from "../audit/port.ts";
import { run, type Redis } from "../../runtime/redis.ts";

export interface Difference {
  readonly account: string;
  /** Undefined if there is no such account. */
  readonly balanceCents: number | undefined;
  readonly auditedCents: number;
}

export interface Proof {
  readonly accounts: number;
  readonly events: number;
  readonly differences: readonly Difference[];
}

const ACCOUNTS_AT_ONCE = 500;

interface Marked {
  readonly cursor: string;
  /** The newest entry of the audit at the moment of these balances. */
  readonly mark: string;
  readonly balances: readonly (readonly [account: string, cents: number])[];
}

/** A page of accounts with their balances, and the position of the audit, at one moment. */
const balancesAt = defineScript<{ readonly partition: number; readonly cursor: string }, Marked>({
  name: "balances-at",
  lua: `
local page = redis.call('HSCAN', balances, cursor, 'COUNT', ${ACCOUNTS_AT_ONCE})
local mark = '0-0'
if redis.call('EXISTS', audit) == 1 then
  local stream = redis.call('XINFO', 'STREAM', audit)
  for i = 1, #stream, 2 do if stream[i] == 'last-generated-id' then mark = stream[i + 1] end end
end
return {page[1], mark, page[2]}
`,
  keys: deskKeys("balances", "audit"),
  args: { cursor: ({ cursor }) => cursor },
  reply(raw) {
    const [cursor, mark, page] = asList(raw);
    const flat = asList(page).map(asText);
    const balances: [string, number][] = [];
    for (let index = 0; index + 1 < flat.length; index += 2) {
      balances.push([flat[index] ?? "", Number(flat[index + 1])]);
    }
    return { cursor: asText(cursor), mark: asText(mark), balances };
  },
});

export async function proveBooks(
  redis: Redis,
  store: AuditStore,
  partitions: PartitionMap,
): Promise<Proof> {
  let accounts = 0;
  let events = 0;
  const differences: Difference[] = [];
  for (const partition of partitions.all()) {
    const sums = new Sums(redis, store, partition, partitions);
    const seen = new Set<string>();
    let cursor = "0";
    do {
      const page = await run(redis, balancesAt, { partition, cursor });
      await sums.addUpTo(page.mark);
      for (const [account, balanceCents] of page.balances) {
        if (seen.has(account)) continue;
        seen.add(account);
        const auditedCents = sums.of(account);
        if (auditedCents !== balanceCents)
          differences.push({ account, balanceCents, auditedCents });
      }
      ({ cursor } = page);
    } while (cursor !== "0");
    for (const account of sums.accounts()) {
      if (seen.has(account)) continue;
      differences.push({ account, balanceCents: undefined, auditedCents: sums.of(account) });
    }
    accounts += seen.size;
    events += sums.events;
  }
  return { accounts, events, differences };
}

/** The sums of a partition's audit, up to a position that only moves forward. */
class Sums {
  readonly #redis: Redis;
  readonly #store: AuditStore;
  readonly #partition: number;
  readonly #partitions: PartitionMap;
  readonly #moved = new Map<string, { cents: number; events: number }>();
  #position = "0-0";

  constructor(redis: Redis, store: AuditStore, partition: number, partitions: PartitionMap) {
    this.#redis = redis;
    this.#store = store;
    this.#partition = partition;
    this.#partitions = partitions;
  }

  of(account: string): number {
    return this.#moved.get(account)?.cents ?? 0;
  }

  accounts(): Iterable<string> {
    return this.#moved.keys();
  }

  get events(): number {
    return [...this.#moved.values()].reduce((sum, { events }) => sum + events, 0);
  }

  async addUpTo(mark: string): Promise<void> {
    if (!isAfter(mark, this.#position)) return;
    const from = nextOf(this.#position);
    const entries = historyOf(this.#store, this.#partition, (each) =>
      auditOf(this.#store, this.#redis, each, undefined, from),
    );
    for await (const { id, fields } of entries) {
      if (isAfter(id, mark)) break;
      this.#add(fields.get("events") ?? "");
      this.#position = id;
    }
    this.#position = mark;
  }

  #add(events: string): void {
    if (raisedFrom(events) !== undefined) this.#narrow();
    for (const event of eventsOf({ events })) {
      if (!("movedCents" in event)) continue;
      const moved = this.#moved.get(event.user) ?? { cents: 0, events: 0 };
      for (const cents of event.movedCents) {
        moved.cents += cents;
        moved.events += 1;
      }
      if (moved.events > 0) this.#moved.set(event.user, moved);
    }
  }

  /**
   * The partition was split: accounts of another partition are added up there, and removed
   * here.
   */
  #narrow(): void {
    for (const account of this.#moved.keys()) {
      const isOwn = this.#partitions.ofAccount(account as AccountId) === this.#partition;
      if (!isOwn) this.#moved.delete(account);
    }
  }
}

/** One line for each difference, and one line with the total. */
export function linesOf({ accounts, events, differences }: Proof): string[] {
  const formatted = (value: number): string => value.toLocaleString("en");
  return [
    ...differences.map(
      ({ account, balanceCents, auditedCents }) =>
        `${account}: the audit adds up to ${auditedCents} cents, the balance is ${balanceCents ?? "none"}`,
    ),
    differences.length === 0
      ? `books proven: ${formatted(events)} account events add up to the balances of ${formatted(accounts)} accounts`
      : `books NOT proven: ${formatted(differences.length)} of ${formatted(accounts)} accounts differ`,
  ];
}

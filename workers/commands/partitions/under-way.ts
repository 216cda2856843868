/** The reasons why a Redis cannot be raised: unfinished work in it, and clients that use it. */
import { asInteger, defineScript } from "../../../redis/script.ts";
import { GROUPS } from "../../../redis/streams.ts";
import { run, type Redis } from "../../runtime/redis.ts";
import { partitionKeys } from "./move.ts";

/** Stream → its unfinished entries, in words for people. */
const WAITING: Readonly<Record<keyof typeof GROUPS, string>> = {
  signals: "signals that are not recorded or not linked",
  links: "links that are not recorded",
  events: "outcomes that are not recorded",
  jobs: "jobs that no worker has brought to their outcomes",
  questions: "jobs with orders of which a broker has not said what became of them",
  closes: "closes that are not done (a halt stops them until it is lifted)",
};

interface WaitingArgs {
  readonly stream: string;
  readonly groups: readonly string[];
}

/** Entries that some group has not finished. */
const waitingIn = defineScript<WaitingArgs, number>({
  name: "waiting-in",
  lua: `
local found, most = {}, 0
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  found[group.name] = true
  most = math.max(most, group.pending + #redis.call('XRANGE', stream, '(' .. group['last-delivered-id'], '+', 'COUNT', 1000))
end
for name in rows() do
  if not found[name] then return math.max(most, redis.call('XLEN', stream)) end
end
return most
`,
  keys: { stream: ({ stream }) => stream },
  rest: ({ groups }) => groups,
  columns: ["name"],
  reply: asInteger,
});

/**
 * The unfinished work, in words; empty if there is none. Also whether a desk has
 * its accounts there.
 */
export async function findUnderWay(
  redis: Redis,
  from: number,
): Promise<{ readonly underWay: readonly string[]; readonly hasDesk: boolean }> {
  let hasDesk = false;
  const waiting = new Map<string, number>();
  const add = (what: string, count: number): void => {
    if (count > 0) waiting.set(what, (waiting.get(what) ?? 0) + count);
  };
  for await (const { kind, name, rest, partition, text } of partitionKeys(redis)) {
    hasDesk ||= kind === "desk";
    if (partition >= from) add(`keys in partition ${partition}, which it does not have`, 1);
    else if (`${kind} ${name}` === "home undispatched") {
      const count = Number(await redis.send("ZCARD", [text]));
      add("signals that are not dispatched to every region", count);
    } else if (isStream(kind, name) && !/(^|:)(dead|failures)$/.test(rest)) {
      const groups = GROUPS[name];
      add(WAITING[name], await run(redis, waitingIn, { stream: text, groups }));
    }
  }
  return { underWay: [...waiting].map(([what, count]) => `${count} ${what}`), hasDesk };
}

function isStream(kind: string, name: string): name is keyof typeof GROUPS {
  return kind !== "desk" && Object.hasOwn(GROUPS, name);
}

/** Commands of clients that only observe, and commands that a client sends by itself. */
const LOOKS_ON =
  /^(?:NULL|auth|client|cluster|command|config|dbsize|hello|info|latency|memory|monitor|ping|readonly|select|slowlog)\b/i;

const OURS = `raise-${crypto.randomUUID()}`;

/** The addresses of clients that have used one of these, except this process. */
export async function findClients(redises: readonly Redis[]): Promise<string[]> {
  const nodes = await Promise.all(
    redises.map(async (redis) => (await redis.primaries?.()) ?? [redis]),
  );
  for (const node of nodes.flat()) await node.send("CLIENT", ["SETNAME", OURS]);
  const found = new Set<string>();
  for (const node of nodes.flat()) {
    const list = String(await node.send("CLIENT", ["LIST", "TYPE", "normal"]));
    for (const line of list.split("\n").filter((each) => each !== "")) {
      const fields = new Map(line.split(" ").map((each) => each.split("=", 2) as [string, string]));
      if (fields.get("name") === OURS || LOOKS_ON.test(fields.get("cmd") ?? "")) continue;
      found.add(fields.get("addr") ?? "");
    }
  }
  return [...found];
}

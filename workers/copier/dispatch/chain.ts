/**
 * Links each channel's log into a hash chain, in order, soon after acceptance
 * (P7). The last link of each batch is signed: a signed head proves every signal
 * before it.
 */
import { createHash } from "node:crypto";
import { getLogger } from "@logtape/logtape";
import { CompactSign, importJWK, type JWK } from "jose";
import type { AcceptedSignal } from "../../../domain/copier/signal.ts";
import { link, type EntryLink } from "./undispatched.ts";
import type { ChainLink } from "../stored/events.ts";
import { HomeKeys } from "../../../redis/keys.ts";
import type { Verdict } from "../../runtime/consume.ts";
import type { Entry } from "../../runtime/entries.ts";
import { isOutage } from "../../runtime/outage.ts";
import { nameOf } from "../../../http/place.ts";
import { run, type Redis } from "../../runtime/redis.ts";

/** The hash before the first link. */
export const FIRST_HASH = "0".repeat(64);

export type Sign = (hash: string) => Promise<string>;

/** Signs heads with the issuer's Ed25519 key; a compact JWS whose payload is the hash. */
export async function signer(issuerKey: JWK): Promise<Sign> {
  const key = await importJWK(issuerKey, "EdDSA");
  const header = { alg: "EdDSA", ...(issuerKey.kid ? { kid: issuerKey.kid } : {}) };
  return (hash) =>
    new CompactSign(new TextEncoder().encode(hash)).setProtectedHeader(header).sign(key);
}

export function linkHash(
  previousHash: string,
  signal: Pick<AcceptedSignal, "sequence" | "id" | "acceptedAtMs">,
  bodySha256: string,
): string {
  const { sequence, id, acceptedAtMs } = signal;
  return createHash("sha256")
    .update([previousHash, sequence, id, acceptedAtMs, bodySha256].join("\n"))
    .digest("hex");
}

/**
 * The last link of a channel's chain, with its text in Redis: the next link is
 * written only if that text is unchanged.
 */
interface Head {
  readonly sequence: number;
  readonly hash: string;
  readonly text: string | null;
}

/**
 * Links entries of one partition. A channel waits (`later`) if its next signal is
 * not here yet, if another worker moves its chain, or if a fault of its own
 * prevents linking. No other channel waits with it. A chain never skips a number.
 */
export async function chain(
  redis: Redis,
  partition: number,
  sign: Sign,
  entries: readonly Entry[],
): Promise<Verdict[]> {
  const home = new HomeKeys(partition);
  const accepted = entries.map(parseAccepted);
  const byChannel = Map.groupBy(
    accepted.filter((each) => each !== undefined),
    ({ signal }) => signal.channel,
  );
  const log = getLogger(["fanfare", "chain"]).with({ partition });
  const linked = new Set<string>();
  const waiting = new Set<string>();
  for (const [channel, each] of byChannel) {
    const inOrder = each.toSorted((a, b) => a.signal.sequence - b.signal.sequence);
    try {
      const head = await readHead(redis, home.chainHead(channel));
      const { links, newHead, behindGap } = await linksOn(head, inOrder, sign);
      for (const entry of behindGap) waiting.add(entry);
      if (links.length === 0) continue;
      const moved = { home, channel, head: head.text, newHead, links };
      const isLinked = await run(redis, link, moved);
      for (const { entry } of links) (isLinked ? linked : waiting).add(entry);
    } catch (error) {
      // If the store is away, it is away for every channel.
      if (isOutage(error)) throw error;
      log.error("the chain of {channel} cannot continue: {error}", {
        channel,
        error: nameOf(error),
      });
      for (const { entry } of each) waiting.add(entry.id);
    }
  }
  return entries.map(({ id }, index) => {
    if (accepted[index] === undefined) return { dead: "not an accepted signal" };
    if (waiting.has(id)) return "later";
    return linked.has(id) ? "acked" : "done";
  });
}

interface Accepted {
  readonly entry: Entry;
  readonly signal: AcceptedSignal;
  readonly bodySha256: string;
}

interface Links {
  readonly links: readonly EntryLink[];
  readonly newHead: string;
  /** Entries of signals after one that is neither linked nor here. */
  readonly behindGap: readonly string[];
}

/**
 * Makes the links of one channel's signals that follow its head without a gap, and
 * signs the last of them.
 */
async function linksOn(head: Head, accepted: readonly Accepted[], sign: Sign): Promise<Links> {
  let { sequence, hash } = head;
  const made: { readonly entry: string; readonly link: ChainLink }[] = [];
  const behindGap: string[] = [];
  for (const { entry, signal, bodySha256 } of accepted) {
    if (signal.sequence <= sequence) continue;
    // A signal restored after a loss names the one before it, because those in between may be gone.
    const after = Number(entry.fields.get("after") ?? signal.sequence - 1);
    if (after > sequence) {
      behindGap.push(entry.id);
      continue;
    }
    const previousHash = hash;
    ({ sequence } = signal);
    hash = linkHash(previousHash, signal, bodySha256);
    const { id, channel } = signal;
    const link = { signal: id, channel, sequence, previousHash, linkHash: hash };
    made.push({ entry: entry.id, link });
  }
  const signature = made.length > 0 ? await sign(hash) : undefined;
  const links = made.map(({ entry, link }, index) => ({
    entry,
    link: JSON.stringify(index === made.length - 1 ? { ...link, signature } : link),
  }));
  return { links, newHead: JSON.stringify({ sequence, hash }), behindGap };
}

function parseAccepted(entry: Entry): Accepted | undefined {
  const signal = parseSignal(entry);
  const bodySha256 = entry.fields.get("sha256");
  const isSignal = typeof signal?.channel === "string" && Number.isSafeInteger(signal.sequence);
  return isSignal && bodySha256 !== undefined ? { entry, signal, bodySha256 } : undefined;
}

function parseSignal(entry: Entry): AcceptedSignal | null | undefined {
  try {
    return JSON.parse(entry.fields.get("signal") ?? "") as AcceptedSignal | null;
  } catch {
    // Not JSON: it is a dead letter.
    return undefined;
  }
}

async function readHead(redis: Redis, key: string): Promise<Head> {
  const text = (await redis.send("GET", [key])) as string | null;
  if (text === null) return { sequence: 0, hash: FIRST_HASH, text };
  return { ...(JSON.parse(text) as Omit<Head, "text">), text };
}

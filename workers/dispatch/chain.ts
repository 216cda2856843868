/**
 * Links each channel's log into a hash chain, in order, just behind
 * acceptance (P7). The last link of each batch is signed: a signed head proves
 * every signal before it.
 */
import { createHash } from "node:crypto";
import { CompactSign, importJWK, type JWK } from "jose";
import type { AcceptedSignal } from "../../domain/signal.ts";
import { link } from "../../redis/dispatch.ts";
import type { ChainLink } from "../../redis/events.ts";
import { HomeKeys } from "../../redis/keys.ts";
import type { Verdict } from "../consume/consume.ts";
import type { Entry } from "../consume/entries.ts";
import { run, type Redis } from "../redis-client.ts";

/** What the first link goes on from. */
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

/** The last link of a channel's chain, with its text in Redis: what the next one is compared and set with. */
interface Head {
  readonly sequence: number;
  readonly hash: string;
  readonly text: string | null;
}

/** Entries in the order of acceptance. Rejects where another worker is at the same channel; they are tried again. */
export async function chain(
  redis: Redis,
  partition: number,
  sign: Sign,
  entries: readonly Entry[],
): Promise<Verdict[]> {
  const home = new HomeKeys(partition);
  const heads = new Map<string, Head>();
  const signals = entries.map(parseSignal);
  const verdicts: Verdict[] = [];
  for (const [index, entry] of entries.entries()) {
    const signal = signals[index];
    const bodySha256 = entry.fields.get("sha256");
    if (!signal || bodySha256 === undefined) {
      verdicts.push({ dead: "not an accepted signal" });
      continue;
    }
    const { channel, sequence } = signal;
    const head = heads.get(channel) ?? (await readHead(redis, home.chainHead(channel)));
    if (sequence <= head.sequence) {
      verdicts.push("done");
      continue;
    }
    // A signal that was put back after a loss says after which it comes, as the one between may be gone.
    const after = Number(entry.fields.get("after") ?? sequence - 1);
    if (after > head.sequence) throw new Error("the signal before is not linked yet");
    const hash = linkHash(head.hash, signal, bodySha256);
    const isLast = !signals.slice(index + 1).some((later) => later?.channel === channel);
    const next: ChainLink = {
      signal: signal.id,
      channel,
      sequence,
      previousHash: head.hash,
      linkHash: hash,
      ...(isLast ? { signature: await sign(hash) } : {}),
    };
    const newHead = JSON.stringify({ sequence, hash });
    const linked = await run(redis, link, {
      home,
      channel,
      head: head.text,
      newHead,
      link: JSON.stringify(next),
      entry: entry.id,
    });
    if (!linked) throw new Error("the chain has moved");
    heads.set(channel, { sequence, hash, text: newHead });
    verdicts.push("acked");
  }
  return verdicts;
}

function parseSignal(entry: Entry): AcceptedSignal | undefined {
  try {
    return JSON.parse(entry.fields.get("signal") ?? "") as AcceptedSignal;
  } catch {
    return undefined;
  }
}

async function readHead(redis: Redis, key: string): Promise<Head> {
  const text = (await redis.send("GET", [key])) as string | null;
  if (text === null) return { sequence: 0, hash: FIRST_HASH, text };
  return { ...(JSON.parse(text) as Omit<Head, "text">), text };
}

/**
 * `npm run bench -- burst`: many signals at the same moment, each to every follower, through the
 * real edge and with the default deadline. It measures the time to the last answer, and how many
 * copies were too late.
 */
import type { SignalId } from "../domain/ids.ts";
import { parseNumbers, readOptions } from "./arguments.ts";
import { startHouse, type House } from "./bed.ts";
import { quantile, showProgress, table } from "./figures.ts";
import { writeReport } from "./report.ts";
import { forget, readAnswers } from "./round.ts";

const DEFAULTS = { signals: "10", followers: "10000", rounds: "3", json: "" };

/** One signal of a burst. */
interface Share {
  readonly placed: number;
  /** Copies by their outcomes, such as `skipped: TOO_LATE`. */
  readonly outcomes: Readonly<Record<string, number>>;
  /**
   * From its acceptance to the broker's first and last answer to an order; null if none was sent.
   */
  readonly firstMs: number | null;
  readonly lastMs: number | null;
}

interface Burst {
  /** In the order of acceptance. */
  readonly shares: readonly Share[];
  /** The time from sending the signals to the edge's slowest answer. */
  readonly acceptedMs: number;
  /** From the first acceptance to the last answer to an order of any of them. */
  readonly lastMs: number;
}

export async function run(args: string[]): Promise<void> {
  const options = readOptions(args, DEFAULTS);
  const [[signals = 0], [followers = 0], [rounds = 0]] = [
    parseNumbers(options.signals),
    parseNumbers(options.followers),
    parseNumbers(options.rounds),
  ];
  const house = await startHouse(followers);
  const bursts: Burst[] = [];
  try {
    showProgress("warming up");
    await burst(house, 1);
    for (let round = 1; round <= rounds; round += 1) {
      showProgress(`${signals} signals at once: ${round} of ${rounds}`);
      bursts.push(await burst(house, signals));
    }
  } finally {
    await house.stop();
  }
  showProgress("");
  for (const [index, each] of bursts.entries()) {
    const rows = each.shares.map((share, at) => [
      at + 1,
      share.placed,
      share.outcomes["skipped: TOO_LATE"] ?? 0,
      describeOthers(share),
      ...[share.firstMs, share.lastMs].map((ms) => ms ?? "–"),
    ]);
    const placed = each.shares.reduce((sum, share) => sum + share.placed, 0);
    console.log(`\nburst ${index + 1}: accepted in ${Math.round(each.acceptedMs)} ms,`);
    console.log(`${placed} orders placed, the last of them after ${Math.round(each.lastMs)} ms`);
    console.log(table(["signal", "placed", "too late", "others", "first(ms)", "last(ms)"], rows));
  }
  await writeReport(options.json, { signals, followers, bursts });
}

async function burst({ copier, post }: House, signals: number): Promise<Burst> {
  const startedAtMs = performance.now();
  const answers = await Promise.all(Array.from({ length: signals }, (_, n) => post(100 + n)));
  const acceptedMs = performance.now() - startedAtMs;
  const accepted: {
    readonly id: SignalId;
    readonly sequence: number;
    readonly acceptedAtMs: number;
  }[] = [];
  for (const response of answers) {
    if (response.status !== 202) throw new Error(`the edge answered ${response.status}`);
    accepted.push((await response.json()) as (typeof accepted)[number]);
  }
  accepted.sort((a, b) => a.sequence - b.sequence);
  const shares: Share[] = [];
  let lastAtMs = 0;
  for (const { id, acceptedAtMs } of accepted) {
    await copier.complete(id, 60_000);
    const { placed, outcomes, afterMs } = await readAnswers(copier.redis, id);
    const [firstMs, lastMs] =
      afterMs.length > 0 ? [quantile(afterMs, 0), quantile(afterMs, 1)] : [null, null];
    shares.push({ placed, outcomes: Object.fromEntries(outcomes), firstMs, lastMs });
    lastAtMs = Math.max(lastAtMs, acceptedAtMs + (lastMs ?? 0));
  }
  await forget(
    copier,
    accepted.map(({ id }) => id),
  );
  return { shares, acceptedMs, lastMs: lastAtMs - (accepted[0]?.acceptedAtMs ?? 0) };
}

/** The outcomes other than placed and too late. */
function describeOthers({ outcomes }: Share): string {
  const others = Object.entries(outcomes).filter(
    ([name]) => name !== "placed" && name !== "skipped: TOO_LATE",
  );
  return others.length === 0 ? "0" : others.map(([name, count]) => `${count} ${name}`).join(", ");
}

/**
 * A signal to many followers: accept → every answer, on real processes, with a common queue and a
 * plain design beside it.
 */
import { startRole } from "../tests/support/role.ts";
import { parseNumbers, readOptions } from "./arguments.ts";
import { startBed } from "./bed.ts";
import { median, showProgress, table } from "./figures.ts";
import { rssMb } from "./machine.ts";
import { measureBullMq, measurePlain } from "./peers/jobs.ts";
import { measureXadd } from "./peers/xadd.ts";
import { writeReport } from "./report.ts";
import { fanOutRounds, type Round } from "./round.ts";

/** For one number of followers: medians, except for `placed`, which is the smallest. */
interface FanOutFigures {
  readonly followers: number;
  readonly placed: number;
  readonly firstMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly lastMs: number;
  readonly ordersPerSecond: number;
  readonly rssMb: number;
  readonly redisCpuMs: number;
}

const DURABILITIES = ["everysec", "always"] as const;
type Figures = Record<(typeof DURABILITIES)[number], FanOutFigures>;

/** Long for the measurement, so that no late follower is skipped and missing from the figures. */
const DEADLINE_MS = 600_000;
/** Many times the cost of all rounds of a follower. */
const BALANCE_CENTS = 100_000_000;

export async function run(args: string[]): Promise<void> {
  const options = readOptions(args, {
    followers: "1000,10000,100000",
    rounds: "5",
    jobs: "20000",
    json: "",
  });
  const [rounds = 5] = parseNumbers(options.rounds);
  const [jobs = 0] = parseNumbers(options.jobs);

  const figures: Figures[] = [];
  for (const followers of parseNumbers(options.followers)) {
    figures.push(await measure(followers, rounds));
  }
  showProgress(`BullMQ: ${jobs} jobs`);
  const bullmq = { jobsPerSecond: await measureBullMq(jobs) };
  showProgress(`plain: ${jobs} entries`);
  const plain = { ordersPerSecond: await measurePlain(jobs) };
  showProgress("redis-benchmark XADD");
  const xadd = { perSecond: await measureXadd() };
  showProgress("");

  const head = "followers placed first p50 p99 last(ms) orders/s rss(MB) redis-cpu(ms)".split(" ");
  for (const durability of DURABILITIES) {
    const rows = figures.map(({ [durability]: each }) => Object.values(each) as number[]);
    console.log(`\nappendfsync ${durability}\n${table(head, rows)}`);
  }
  const best = Math.max(...figures.map(({ everysec }) => everysec.ordersPerSecond));
  const beside = (name: string, perSecond: number): (string | number)[] => [
    name,
    perSecond,
    `${(best / perSecond).toFixed(1)} ×`,
  ];
  console.log(
    `\nbeside it\n${table(
      ["", "per second", "Fanfare"],
      [
        beside("BullMQ, a job a follower", bullmq.jobsPerSecond),
        beside("plain, an entry a follower", plain.ordersPerSecond),
        beside("redis-benchmark XADD", xadd.perSecond),
      ],
    )}`,
  );
  await writeReport(options.json, {
    fanout: figures.map(({ everysec }) => withoutCpu(everysec)),
    bullmq,
    plain,
    xadd,
    always: figures.map(({ always }) => withoutCpu(always)),
    redisCpuMs: figures.map(({ everysec }) => everysec.redisCpuMs),
  });
}

function withoutCpu({ redisCpuMs: _, ...rest }: FanOutFigures): Omit<FanOutFigures, "redisCpuMs"> {
  return rest;
}

async function measure(followers: number, rounds: number): Promise<Figures> {
  const bed = await startBed(followers, { deadlineMs: DEADLINE_MS, balanceCents: BALANCE_CENTS });
  const { desk, copier } = bed;
  const worker = await startRole("broker", desk.env);
  const measured: Partial<Figures> = {};
  for (const durability of DURABILITIES) {
    await copier.redis.send("CONFIG", ["SET", "appendfsync", durability]);
    let mostMb = 0;
    const title = `${followers} followers, ${durability}`;
    const all = await fanOutRounds(copier, rounds, title, () => {
      mostMb = Math.max(mostMb, rssMb(worker.pid));
    });
    measured[durability] = summarizeRounds(followers, all, mostMb);
  }
  await worker.stop();
  await bed.stop();
  return measured as Figures;
}

function summarizeRounds(
  followers: number,
  rounds: readonly Round[],
  mostMb: number,
): FanOutFigures {
  const middle = (name: keyof Round): number => median(rounds.map((round) => round[name]));
  const lastMs = middle("lastMs");
  return {
    followers,
    placed: Math.min(...rounds.map(({ placed }) => placed)),
    firstMs: middle("firstMs"),
    p50Ms: middle("p50Ms"),
    p99Ms: middle("p99Ms"),
    lastMs,
    ordersPerSecond: Math.round((followers * 1000) / lastMs),
    rssMb: Math.round(mostMb),
    redisCpuMs: Math.round(middle("redisCpuMs")),
  };
}

/**
 * `npm run bench -- edge`: how long `POST /v1/signals` takes on the Bun edge while the whole system
 * works behind it. The load is an open model: each request is sent at its own time, without waiting
 * for earlier ones, and its latency counts from that time, so that waiting is visible.
 */
import { parseNumbers, readOptions } from "./arguments.ts";
import { startHouse, type House } from "./bed.ts";
import { quantile, showProgress, table } from "./figures.ts";
import { writeReport } from "./report.ts";

const DEFAULTS = { rate: "500", seconds: "10", followers: "1", json: "" };
const WARM_UP_SECONDS = 3;

interface Load {
  readonly sent: number;
  readonly accepted: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** CPU time that each process took for one signal. */
  readonly cpuMs: Readonly<Record<string, number>>;
}

export async function run(args: string[]): Promise<void> {
  const options = readOptions(args, DEFAULTS);
  const [rates, [seconds = 0], [followers = 0]] = [
    parseNumbers(options.rate),
    parseNumbers(options.seconds),
    parseNumbers(options.followers),
  ];
  const house = await startHouse(followers);
  const loads: (Load & { readonly rate: number })[] = [];
  try {
    showProgress("warming up");
    await drive(house, rates[0] ?? 1, WARM_UP_SECONDS);
    for (const rate of rates) {
      showProgress(`${rate} signals a second`);
      loads.push({ rate, ...(await drive(house, rate, seconds)) });
    }
  } finally {
    await house.stop();
  }
  showProgress("");
  const processes = Object.keys(loads[0]?.cpuMs ?? {});
  const rows = loads.map((each) => [
    each.rate,
    each.sent,
    each.accepted,
    ...[each.p50Ms, each.p99Ms, each.maxMs].map((ms) => ms.toFixed(1)),
  ]);
  console.log(table(["signals/s", "sent", "accepted", "p50 ms", "p99 ms", "max ms"], rows));
  const shares = loads.map(({ rate, cpuMs }) => [
    rate,
    ...processes.map((name) => cpuMs[name]?.toFixed(2) ?? ""),
  ]);
  console.log(`\nCPU ms a signal\n${table(["signals/s", ...processes], shares)}`);
  await writeReport(options.json, { followers, edge: loads });
}

/** Sends at the times of a fixed schedule and waits for every answer. */
async function drive(house: House, rate: number, seconds: number): Promise<Load> {
  const latencies: number[] = [];
  const answers: Promise<void>[] = [];
  let accepted = 0;
  const before = await house.cpuMs();
  const startedAtMs = performance.now();
  for (let sent = 0; sent < rate * seconds; sent += 1) {
    const dueAtMs = startedAtMs + (sent * 1000) / rate;
    const earlyMs = dueAtMs - performance.now();
    if (earlyMs > 0) await Bun.sleep(earlyMs);
    answers.push(
      house.post(100 + (sent % 1_000)).then(async (response) => {
        await response.arrayBuffer();
        latencies.push(performance.now() - dueAtMs);
        if (response.status === 202) accepted += 1;
      }),
    );
  }
  await Promise.all(answers);
  const after = Object.entries(await house.cpuMs());
  return {
    sent: latencies.length,
    accepted,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    maxMs: quantile(latencies, 1),
    cpuMs: Object.fromEntries(
      after.map(([name, ms]) => [name, (ms - (before[name] ?? 0)) / latencies.length]),
    ),
  };
}

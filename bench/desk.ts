/**
 * `npm run bench -- desk`: the workload runner on the real file of 45 users and on a generated one
 * of a thousand users and a million commands, each on its own desk: Redis with an append-only file,
 * two desk servers, the audit role, and the quote server as slow as the real one. The figure counts
 * only replies that were received, over the time until all of the audit was on disk.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Supervisor } from "../local/supervisor.ts";
import type { Status } from "../local/process.ts";
import { workloadServices } from "../local/workload-services.ts";
import type { Figures } from "../workers/commands/workload/report.ts";
import { DAY_TRADING } from "../tests/support/data.ts";
import { parseNumbers, readOptions } from "./arguments.ts";
import { generateWorkload } from "./desk-workload.ts";
import { showProgress, table } from "./figures.ts";
import { cpuMs, peakMb } from "./machine.ts";
import { writeReport } from "./report.ts";

const ROOT = join(import.meta.dirname, "..");
const REAL_FILE = join(DAY_TRADING, "45User_testWorkLoad");
const DEFAULTS = {
  users: "1000",
  commands: "1000000",
  seed: "1",
  connections: "16",
  "paced-seconds": "10",
  json: "",
};
const KINDS = ["redis", "desk", "audit", "simulator", "quotes", "runner"] as const;
const POLL_MS = 20;

interface Run extends Figures {
  readonly workload: string;
  /** CPU time of all processes of a kind, in microseconds for each command. */
  readonly cpuUs: Readonly<Record<string, number>>;
  /** The highest memory of the largest process of a kind. */
  readonly peakMb: Readonly<Record<string, number>>;
}

export async function run(args: string[]): Promise<void> {
  const options = readOptions(args, DEFAULTS);
  const [users = 0] = parseNumbers(options.users);
  const [commands = 0] = parseNumbers(options.commands);
  const [seed = 0] = parseNumbers(options.seed);
  const [pacedSeconds = 0] = parseNumbers(options["paced-seconds"]);
  const folder = mkdtempSync(join(tmpdir(), "fanfare-bench-desk-"));
  const runs: Run[] = [];
  try {
    if (existsSync(REAL_FILE)) {
      showProgress("the file of 45 users");
      runs.push(await measure("45 users, real", REAL_FILE, options.connections));
    }
    const file = join(folder, "workload");
    showProgress(`drawing ${commands.toLocaleString("en")} commands`);
    await generateWorkload({ file, users, commands, seed });
    showProgress(`${users.toLocaleString("en")} users`);
    const name = `${users.toLocaleString("en")} users, drawn`;
    const full = await measure(name, file, options.connections);
    runs.push(full);

    // Each line at its own time, at half of the rate that was reached.
    const rate = Math.max(1, Math.round(full.transactionsPerSecond / 2));
    const paced = join(folder, "paced");
    await generateWorkload({ file: paced, users, commands: rate * pacedSeconds, seed });
    // Other users, and as many commands: the first commands run code that is not warm yet.
    const warmUp = join(folder, "warm-up");
    await generateWorkload({ file: warmUp, users, commands: rate * pacedSeconds, seed: seed + 1 });
    showProgress(`${rate.toLocaleString("en")} commands a second`);
    const pace = ["--rate", String(rate)];
    runs.push(await measure("at half that load", paced, options.connections, { pace, warmUp }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  showProgress("");
  console.log(formatRuns(runs));
  await writeReport(options.json, { desk: runs });
}

async function measure(
  workload: string,
  file: string,
  connections: string,
  { pace = [], warmUp }: { readonly pace?: readonly string[]; readonly warmUp?: string } = {},
): Promise<Run> {
  const data = mkdtempSync(join(tmpdir(), "fanfare-bench-desk-"));
  const logs = join(data, "logs");
  mkdirSync(logs);
  let statuses: readonly Status[] = [];
  const supervisor = new Supervisor({ logs, changed: (all) => void (statuses = all) });
  try {
    const services = await workloadServices({ root: ROOT, data, prices: undefined });
    for (const stage of services.stages) {
      const result = await supervisor.start(stage);
      if (!result.ok) throw new Error(result.why);
    }
    const drive = (of: string, ...more: readonly string[]) =>
      Bun.spawn(
        [
          process.execPath,
          "--no-env-file",
          "workers/commands/main.ts",
          "desk:workload",
          of,
          "--url",
          services.urls.join(","),
          "--connections",
          connections,
          ...pace,
          ...more,
        ],
        {
          cwd: ROOT,
          env: { PATH: process.env["PATH"] ?? "", ...services.settings },
          stdio: ["ignore", "ignore", "inherit"],
        },
      );
    if (warmUp !== undefined && (await drive(warmUp).exited) !== 0) {
      throw new Error("the warm-up run failed, or its books are not right");
    }
    const figuresFile = join(data, "figures.json");
    const before = takenBy(statuses);
    const child = drive(file, "--json", figuresFile);
    // The figures are complete when the audit is drained; the following proof is not measured.
    while (!existsSync(figuresFile) && child.exitCode === null) await Bun.sleep(POLL_MS);
    const after = takenBy([...statuses, { name: "runner", pid: child.pid }]);
    if ((await child.exited) !== 0) throw new Error("the run failed, or its books are not right");
    const figures = (await Bun.file(figuresFile).json()) as Figures;
    return { workload, ...figures, ...compareUsage(before, after, figures.replies) };
  } finally {
    await supervisor.stop();
    rmSync(data, { recursive: true, force: true });
  }
}

interface Taken {
  readonly cpuMs: number;
  readonly peakMb: number;
}

/** The CPU time and memory of each process since it started. */
function takenBy(processes: readonly Pick<Status, "name" | "pid">[]): Map<string, Taken> {
  return new Map(
    processes.flatMap(({ name, pid }) =>
      pid === undefined ? [] : [[name, { cpuMs: cpuMs(pid), peakMb: peakMb(pid) }] as const],
    ),
  );
}

function compareUsage(
  before: ReadonlyMap<string, Taken>,
  after: ReadonlyMap<string, Taken>,
  commands: number,
): Pick<Run, "cpuUs" | "peakMb"> {
  const cpuUs: Record<string, number> = {};
  const peak: Record<string, number> = {};
  for (const [name, taken] of after) {
    const kind = name.replace(/\d+$/, "");
    const tookMs = taken.cpuMs - (before.get(name)?.cpuMs ?? 0);
    cpuUs[kind] = (cpuUs[kind] ?? 0) + (tookMs * 1_000) / commands;
    peak[kind] = Math.max(peak[kind] ?? 0, taken.peakMb);
  }
  return { cpuUs, peakMb: peak };
}

function formatRuns(runs: readonly Run[]): string {
  const figures = table(
    ["workload", "replies", "errors", "/s", "p50 ms", "p99 ms", "p99 no quote", "drained s"],
    runs.map((each) => [
      each.workload,
      each.replies,
      each.errors,
      each.transactionsPerSecond,
      ...[each.p50Ms, each.p99Ms, each.p99UnquotedMs, each.auditDrainedS].map((value) =>
        value.toFixed(2),
      ),
    ]),
  );
  const usage = table(
    ["CPU µs a command", ...KINDS, "all"],
    runs.map(({ workload, cpuUs }) => [
      workload,
      ...KINDS.map((kind) => (cpuUs[kind] ?? 0).toFixed(1)),
      Object.values(cpuUs)
        .reduce((sum, each) => sum + each, 0)
        .toFixed(1),
    ]),
  );
  const memory = table(
    ["peak MB", ...KINDS],
    runs.map(({ workload, peakMb: peak }) => [workload, ...KINDS.map((kind) => peak[kind] ?? 0)]),
  );
  return [figures, usage, memory].join("\n\n");
}

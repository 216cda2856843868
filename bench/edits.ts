/**
 * `npm run bench -- edits`: fan-outs of one tenant while another edits plans at
 * a rate, of its settings and its subscriptions, beside the same without edits.
 * Rounds with and without take turns, so that what else runs on the machine
 * strikes both.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startRole } from "../tests/support/role.ts";
import { parseNumbers, readOptions } from "./arguments.ts";
import { startBed } from "./bed.ts";
import { median, showProgress, table } from "./figures.ts";
import { writeReport } from "./report.ts";
import { fanOutRounds, type Round } from "./round.ts";

/**
 * The records are in memory where the machine has such a folder, as they would be
 * on another machine: on the disk of Redis, each waits for the other's syncs.
 */
const MEMORY = "/dev/shm";
const RECORDS = existsSync(MEMORY) ? MEMORY : tmpdir();
const DEFAULTS = {
  followers: "10000",
  rate: "1000",
  rounds: "5",
  turns: "4",
  records: RECORDS,
  json: "",
};
const DEADLINE_MS = 600_000;
const BALANCE_CENTS = 100_000_000;

interface EditFigures {
  readonly editsPerSecond: number;
  readonly placed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export async function run(args: string[]): Promise<void> {
  const options = readOptions(args, DEFAULTS);
  const [[followers = 0], [rate = 0], [rounds = 0], [turns = 0]] = [
    parseNumbers(options.followers),
    parseNumbers(options.rate),
    parseNumbers(options.rounds),
    parseNumbers(options.turns),
  ];
  const bed = await startBed(followers, { deadlineMs: DEADLINE_MS, balanceCents: BALANCE_CENTS });
  const { desk, copier } = bed;
  const worker = await startRole("broker", desk.env);
  const folder = mkdtempSync(join(options.records, "fanfare-bench-edits-"));
  const without: Round[] = [];
  const during: Round[] = [];
  const rates: number[] = [];
  for (let turn = 1; turn <= turns; turn += 1) {
    without.push(...(await fanOutRounds(copier, rounds, `turn ${turn}, no edits`)));
    const editor = await startEditor(desk.redisUrl, folder, followers, rate);
    during.push(...(await fanOutRounds(copier, rounds, `turn ${turn}, ${rate} edits a second`)));
    rates.push(await editor.stop());
  }
  await worker.stop();
  await bed.stop();
  rmSync(folder, { recursive: true, force: true });
  showProgress("");

  const rows = [figuresOf(0, without), figuresOf(median(rates), during)];
  const head = ["edits/s", "placed", "p50(ms)", "p99(ms)"];
  console.log(
    table(
      head,
      rows.map((each) => Object.values(each) as number[]),
    ),
  );
  const [alone, beside] = rows.map(({ p99Ms }) => p99Ms);
  const p99Ratio = (beside ?? 0) / (alone ?? 1);
  console.log(`p99 with edits is ${p99Ratio.toFixed(2)} times that without`);
  await writeReport(options.json, {
    edits: { followers, without: rows[0], with: rows[1], p99Ratio },
  });
}

function figuresOf(editsPerSecond: number, rounds: readonly Round[]): EditFigures {
  return {
    editsPerSecond,
    placed: Math.min(...rounds.map(({ placed }) => placed)),
    p50Ms: median(rounds.map(({ p50Ms }) => p50Ms)),
    p99Ms: median(rounds.map(({ p99Ms }) => p99Ms)),
  };
}

interface Editor {
  /** Answers how many plans a second it edited. */
  stop(): Promise<number>;
}

async function startEditor(
  redisUrl: string,
  folder: string,
  followers: number,
  rate: number,
): Promise<Editor> {
  const words = ["bench/editor.ts", redisUrl, folder, String(followers), String(rate)];
  const child = Bun.spawn([process.execPath, ...words], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  let edited = 0;
  let startedMs = 0;
  const ready = Promise.withResolvers<void>();
  const reading = (async () => {
    let rest = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line === "ready") {
          startedMs = performance.now();
          ready.resolve();
        } else edited += Number(line.split(" ")[1]);
      }
    }
    ready.reject(new Error("the editor did not come up"));
  })();
  await ready.promise;
  return {
    async stop() {
      const seconds = (performance.now() - startedMs) / 1_000;
      child.kill("SIGKILL");
      await reading;
      return edited / seconds;
    },
  };
}

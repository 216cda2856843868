/**
 * "Just add instances": the same fan-out with one, two, four and eight workers at a broker that
 * takes 20 ms for an order.
 */
import { freePort } from "../tests/support/ports.ts";
import { startRoles } from "../tests/support/role.ts";
import { parseNumbers, readOptions } from "./arguments.ts";
import { startBed } from "./bed.ts";
import { median, showProgress, table } from "./figures.ts";
import { writeReport } from "./report.ts";
import { fanOutRounds } from "./round.ts";

const DEADLINE_MS = 600_000;

export async function run(args: string[]): Promise<void> {
  const options = readOptions(args, {
    followers: "100000",
    workers: "1,2,4,8",
    rounds: "3",
    json: "",
  });
  const [followers = 0] = parseNumbers(options.followers);
  const [rounds = 0] = parseNumbers(options.rounds);

  const bed = await startBed(followers, { deadlineMs: DEADLINE_MS });
  const { desk, copier } = bed;
  const port = await freePort();
  const slow = await startSlow(port, desk.url);
  const figures = [];
  for (const count of parseNumbers(options.workers)) {
    const env = { ...desk.env, FANFARE_DESK_URL: `http://127.0.0.1:${port}` };
    const names = Array.from({ length: count }, (_, index) => `worker-${index}`);
    const workers = await startRoles("broker", env, names);
    const all = await fanOutRounds(copier, rounds, `${count} workers`);
    await Promise.all(workers.map((worker) => worker.stop()));
    const placed = Math.min(...all.map((each) => each.placed));
    const lastMs = median(all.map((each) => each.lastMs));
    const ordersPerSecond = Math.round((followers * 1000) / lastMs);
    figures.push({ workers: count, followers, placed, lastMs, ordersPerSecond });
  }
  slow.kill("SIGKILL");
  await slow.exited;
  await bed.stop();
  showProgress("");

  console.log(
    table(
      ["workers", "followers", "placed", "last(ms)", "orders/s"],
      figures.map((each) => Object.values(each)),
    ),
  );
  await writeReport(options.json, { workers: figures });
}

async function startSlow(port: number, url: string): Promise<Bun.Subprocess> {
  const child = Bun.spawn([process.execPath, "bench/slow-broker.ts", String(port), url], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    if (text.includes("ready")) return child;
  }
  throw new Error("the slow broker did not start");
}

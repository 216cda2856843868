/**
 * "Just add instances": the same fan-out with one, two, four and eight workers
 * at a broker that takes 20 ms an order.
 */
import { freePort } from "../tests/support/ports.ts";
import { startRole } from "../tests/support/role.ts";
import { numbersOf, optionsOf } from "./arguments.ts";
import { startBed } from "./bed.ts";
import { median, showProgress, table } from "./figures.ts";
import { machine } from "./machine.ts";
import { fanOutOnce } from "./round.ts";

const DEADLINE_MS = 600_000;

export async function run(args: string[]): Promise<void> {
  const options = optionsOf(args, {
    followers: "100000",
    workers: "1,2,4,8",
    rounds: "3",
    json: "",
  });
  const [followers = 0] = numbersOf(options.followers);
  const [rounds = 0] = numbersOf(options.rounds);

  const bed = await startBed(followers, { deadlineMs: DEADLINE_MS });
  const { desk, copier } = bed;
  const port = await freePort();
  const slow = await startSlow(port, desk.url);
  const figures = [];
  for (const count of numbersOf(options.workers)) {
    const workers = await Promise.all(
      Array.from({ length: count }, (_, index) =>
        startRole("broker", {
          ...desk.env,
          FANFARE_DESK_URL: `http://127.0.0.1:${port}`,
          FANFARE_CONSUMER: `worker-${index}`,
        }),
      ),
    );
    const lasts: number[] = [];
    let placed = followers;
    for (let round = 0; round <= rounds; round += 1) {
      showProgress(`${count} workers: fan-out ${round} of ${rounds}`);
      const each = await fanOutOnce(copier);
      if (round > 0) lasts.push(each.lastMs);
      placed = Math.min(placed, each.placed);
    }
    await Promise.all(workers.map((worker) => worker.stop()));
    const lastMs = median(lasts);
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
  if (options.json !== "") {
    const report = { workers: figures, machine: machine() };
    await Bun.write(options.json, `${JSON.stringify(report, null, 2)}\n`);
  }
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
  throw new Error("the slow broker did not come up");
}

/**
 * `npm run bench -- <what> [options]`: measures the real processes on this machine.
 * docs/benchmarks.md explains the results.
 */
import { installRedis } from "../local/redis-install.ts";

type Bench = (args: string[]) => Promise<void>;

const BENCHES: Record<string, () => Promise<{ run: Bench }>> = {
  fanout: () => import("./fanout.ts"),
  workers: () => import("./workers.ts"),
  burst: () => import("./burst.ts"),
  edge: () => import("./edge.ts"),
  desk: () => import("./desk.ts"),
  triggers: () => import("./triggers.ts"),
  edits: () => import("./edits.ts"),
  encodings: () => import("./encodings.ts"),
};

const [name = "", ...args] = process.argv.slice(2);
const load = BENCHES[name];
if (!load) {
  console.error(`usage: npm run bench -- ${Object.keys(BENCHES).join("|")} [options]`);
  process.exit(2);
}
const redis = installRedis((line) => {
  console.error(line);
});
if (!redis.ok) {
  console.error(redis.help);
  process.exit(1);
}
const { run } = await load();
await run(args);
process.exit(0);

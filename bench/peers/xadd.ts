/** The most entries a second that this Redis takes, by redis-benchmark. */
import { startRedis } from "../../tests/support/redis.ts";

const ENTRIES = 500_000;
/** About the size of one follower's outcome. */
const PAYLOAD = "x".repeat(32);

export async function measureXadd(): Promise<number> {
  const server = await startRedis({ appendOnly: true });
  const child = Bun.spawn(
    [
      "redis-benchmark",
      "-p",
      String(server.port),
      "-n",
      String(ENTRIES),
      "-P",
      "64",
      "-c",
      "8",
      "--csv",
      "XADD",
      "stream",
      "*",
      "event",
      PAYLOAD,
    ],
    { stdout: "pipe", stderr: "ignore" },
  );
  const csv = await new Response(child.stdout).text();
  await server.stop();
  const perSecond = Number(/^"XADD[^"]*","([\d.]+)"/m.exec(csv)?.[1]);
  if (!Number.isFinite(perSecond)) throw new Error("redis-benchmark printed no figure");
  return Math.round(perSecond);
}

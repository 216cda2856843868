/** How many entries a second this Redis takes at all: redis-benchmark at its best. */
import { startRedis } from "../../tests/support/redis.ts";

const ENTRIES = 500_000;
/** About what one follower's outcome takes. */
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
  if (!Number.isFinite(perSecond)) throw new Error("redis-benchmark said nothing");
  return Math.round(perSecond);
}

/** The machine of the measurement, and the use of it by each process. */
import { existsSync, readFileSync } from "node:fs";
import { arch, cpus, loadavg, platform, release, totalmem } from "node:os";
import type { Redis } from "../workers/runtime/redis.ts";

export function machine(): Readonly<Record<string, string | number>> {
  const [cpu] = cpus();
  return {
    at: new Date().toISOString(),
    cpu: cpu?.model ?? "unknown",
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()} ${arch()}`,
    /**
     * The load over the last minute, including the benchmark's own: far more than the number of
     * cores means a busy machine.
     */
    load: Math.round((loadavg()[0] ?? 0) * 10) / 10,
    bun: Bun.version,
    redis: Bun.spawnSync(["redis-server", "--version"]).stdout.toString().split(" ")[2] ?? "",
  };
}

/** Memory that a process uses now. */
export function rssMb(pid: number): number {
  const { stdout } = Bun.spawnSync(["ps", "-o", "rss=", "-p", String(pid)]);
  return Number(stdout.toString()) / 1024;
}

/** The highest memory of a process since it started; 0 if the system does not report it. */
export function peakMb(pid: number): number {
  const path = `/proc/${pid}/status`;
  if (!existsSync(path)) return 0;
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(path, "utf8"))?.[1] ?? 0) / 1024;
}

/**
 * CPU time that a process has used since it started, in milliseconds; 0 if the system does not
 * report it.
 */
export function cpuMs(pid: number): number {
  const path = `/proc/${pid}/stat`;
  if (!existsSync(path)) return 0;
  // After the name, which may contain spaces; user and system time in hundredths of a second.
  const fields = readFileSync(path, "utf8").split(") ").at(-1)?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** CPU time that a Redis has used since it started, in milliseconds. */
export async function redisCpuMs(redis: Redis): Promise<number> {
  const info = String(await redis.send("INFO", ["cpu"]));
  const seconds = [...info.matchAll(/^used_cpu_(?:sys|user):([\d.]+)/gm)].map((match) =>
    Number(match[1]),
  );
  return seconds.reduce((sum, each) => sum + each, 0) * 1000;
}

/**
 * Loaded before each process of one machine: when the supervisor is gone,
 * however it went, its end of this process's standard input closes, and the
 * process stops as at SIGTERM; after the grace that it would have had, for good.
 */
const GRACE_MS = 10_000;

process.stdin.on("end", () => {
  process.kill(process.pid, "SIGTERM");
  setTimeout(() => process.exit(1), GRACE_MS).unref();
});
process.stdin.resume();

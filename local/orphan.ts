/**
 * Loaded before each process of `npm start`. When the supervisor is gone, for any reason, its end
 * of this process's standard input closes. The process then stops as at SIGTERM, and is killed
 * after the usual grace period.
 */
const GRACE_MS = 10_000;

process.stdin.on("end", () => {
  process.kill(process.pid, "SIGTERM");
  setTimeout(() => process.exit(1), GRACE_MS).unref();
});
process.stdin.resume();

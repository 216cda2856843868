/**
 * Named points at which crash tests kill or suspend this process, without warning, as a machine
 * failure would. Each script has one before and one after it, `before:<script>` and
 * `after:<script>`, in the function that runs scripts (`redis.ts`). The points below are on both
 * sides of other durable steps, grouped by role. If none is set, as always in production, a point
 * costs one comparison.
 */
export const CRASH_POINTS = {
  /** In the loop that every role reads its streams with. */
  consume: ["after-delivery", "after-claim", "before-acknowledge", "after-acknowledge"],
  dispatch: ["before-confirm", "after-confirm"],
  broker: ["before-send", "after-answer", "after-lease", "after-settlement", "after-cursor"],
  /** In the loop that reads closes from their streams. */
  closing: ["before-close-send", "after-close-answer"],
  recorder: ["before-record", "between-records", "after-record"],
  records: ["before-mark", "after-mark"],
  /** In the filling of an empty Redis. */
  fill: ["before-fill", "before-filled"],
  /** In the command that raises the number of partitions. */
  partitions: [
    "after-raise-begun",
    "after-key-copied",
    "after-format-written",
    "after-key-removed",
  ],
} as const;
export type CrashPoint =
  (typeof CRASH_POINTS)[keyof typeof CRASH_POINTS][number] | `${"before" | "after"}:${string}`;

let armed: { readonly point: string; readonly signal: NodeJS.Signals; left: number } | undefined;

/**
 * `<point>:<n>:<kill|stop>`: the n-th time that the point is passed, the process gets SIGKILL or
 * SIGSTOP.
 */
export function armCrashPoint(text: string | undefined): void {
  if (text === undefined) return;
  const [, point = "", times, how] = /^(.+):(\d+):(kill|stop)$/.exec(text) ?? [];
  armed = { point, signal: how === "stop" ? "SIGSTOP" : "SIGKILL", left: Number(times) };
}

export function crashPoint(point: CrashPoint): void {
  if (armed?.point !== point) return;
  armed.left -= 1;
  if (armed.left === 0) process.kill(process.pid, armed.signal);
}

/**
 * Named points at which crash tests kill or suspend this process, without warning, as a machine
 * failure would. They are on both sides of every durable step, grouped by role. If unset, as always
 * in production, a point costs one comparison.
 */
export const CRASH_POINTS = {
  /** In the loop that every role reads its streams with. */
  consume: [
    "after-delivery",
    "after-claim",
    "before-acknowledge",
    "after-acknowledge",
    "before-dead-letter",
    "after-dead-letter",
    "before-trim",
    "after-trim",
  ],
  dispatch: [
    "before-enqueue",
    "after-enqueue",
    "before-confirm",
    "after-confirm",
    "before-link",
    "after-link",
  ],
  broker: [
    "after-decide",
    "after-intend",
    "before-send",
    "after-answer",
    "before-report",
    "after-report",
    "before-question",
    "after-question",
    "after-lease",
    "before-settle",
    "after-settle",
    "after-settlement",
    "after-cursor",
  ],
  /** In the loop that reads closes from their streams. */
  closing: ["before-close-send", "after-close-answer", "before-close-report", "after-close-report"],
  recorder: ["before-record", "between-records", "after-record"],
  records: ["before-project", "after-seat", "after-route", "before-mark", "after-mark"],
  quotes: ["before-fire", "after-fire"],
} as const;
export type CrashPoint = (typeof CRASH_POINTS)[keyof typeof CRASH_POINTS][number];

let armed: { readonly point: string; readonly signal: NodeJS.Signals; left: number } | undefined;

/**
 * `<point>:<n>:<kill|stop>`: the n-th time that the point is passed, the process gets SIGKILL or
 * SIGSTOP.
 */
export function armCrashPoint(text: string | undefined): void {
  if (text === undefined) return;
  const [point = "", times = "1", how] = text.split(":");
  armed = { point, signal: how === "stop" ? "SIGSTOP" : "SIGKILL", left: Number(times) };
}

export function crashPoint(point: CrashPoint): void {
  if (armed?.point !== point) return;
  armed.left -= 1;
  if (armed.left === 0) process.kill(process.pid, armed.signal);
}

/**
 * Named moments of the hot path at which crash tests end or halt this very
 * process, as a machine would: without a word. Unset, as it is wherever
 * anything is at stake, a point costs one comparison.
 */
export const CRASH_POINTS = [
  "before-enqueue",
  "after-enqueue",
  "after-decide",
  "after-intend",
  "before-send",
  "after-answer",
  "after-report",
  "before-question",
  "after-question",
] as const;
export type CrashPoint = (typeof CRASH_POINTS)[number];

let armed: { readonly point: string; readonly signal: NodeJS.Signals; left: number } | undefined;

/** `<point>:<n>:<kill|stop>`: the n-th time that the point is passed, SIGKILL or SIGSTOP. */
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

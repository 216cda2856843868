/** How numbers, money and times are written on the page. */
import { formatCents } from "../../domain/money.ts";

const whole = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const dayAndClock = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

/** `1000` → `1,000`. */
export function count(value: number): string {
  return whole.format(value);
}

/** `-123456` → `−$1,234.56`. */
export function dollars(cents: number): string {
  const digits = formatCents(Math.abs(cents)).replace(/\B(?=(?:\d{3})+\.)/g, ",");
  return `${cents < 0 ? "−" : ""}$${digits}`;
}

/** As `dollars`, with the plus sign of a gain. */
export function gain(cents: number): string {
  return `${cents > 0 ? "+" : ""}${dollars(cents)}`;
}

/** Local time, with the day where it is not today. */
export function moment(epochMs: number, nowMs: number): string {
  const sameDay = new Date(epochMs).toDateString() === new Date(nowMs).toDateString();
  return (sameDay ? clock : dayAndClock).format(epochMs);
}

/** `90` → `1 min 30 s`. */
export function duration(seconds: number): string {
  const units: [number, string][] = [
    [Math.floor(seconds / 3_600), "h"],
    [Math.floor((seconds % 3_600) / 60), "min"],
    [seconds % 60, "s"],
  ];
  return units.flatMap(([size, unit]) => (size > 0 ? [`${size} ${unit}`] : [])).join(" ");
}

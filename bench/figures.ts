/** What a benchmark does with its numbers: medians, shares, and a table of them. */

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The smallest of these that at least this share of them does not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

export function table(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const texts = [head, ...rows.map((row) => row.map(told))];
  const widths = head.map((_, column) => Math.max(...texts.map((row) => row[column]?.length ?? 0)));
  return texts
    .map((row) => row.map((cell, column) => cell.padStart(widths[column] ?? 0)).join("  "))
    .join("\n");
}

function told(value: string | number): string {
  return typeof value === "string" ? value : Math.round(value).toLocaleString("en");
}

/** One line that the next one writes over, where a person watches; else nothing. */
export function showProgress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line}`);
  else if (line !== "") console.error(line);
}

/** Reads the metrics of a process. */

/** `name{labels}` → value, without the role; labels are in the order of their declaration. */
export async function readMetrics(port: number): Promise<ReadonlyMap<string, number>> {
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
  const text = await answer.text();
  return new Map(
    text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => {
        const [, series = "", value] = /^(.+) (\S+)$/.exec(line) ?? [];
        return [series.replace(/,?role="[^"]*"/, "").replace("{}", ""), Number(value)];
      }),
  );
}

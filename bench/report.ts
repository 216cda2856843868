/** Writes a benchmark's figures and its machine to a JSON file, if one is asked for. */
import { machine } from "./machine.ts";

export async function writeReport(path: string, found: object): Promise<void> {
  if (path === "") return;
  await Bun.write(path, `${JSON.stringify({ ...found, machine: machine() }, null, 2)}\n`);
}

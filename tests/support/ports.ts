import { freePorts } from "../../local/ports.ts";

const given: number[] = [];

/** A port that was free a moment ago. It is never returned twice: its first user may not listen yet. */
export async function freePort(): Promise<number> {
  const { port } = await freePorts(given, "port");
  given.push(port);
  return port;
}

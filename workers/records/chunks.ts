import type { Document } from "./port.ts";

const CHUNK = 2_000;

/** Groups documents into chunks of the size of one bulk write. */
export async function* chunks<T extends Document>(documents: AsyncIterable<T>): AsyncIterable<T[]> {
  let chunk: T[] = [];
  for await (const each of documents) {
    chunk.push(each);
    if (chunk.length < CHUNK) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}

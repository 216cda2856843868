/**
 * The OpenAPI document as the edge shows it: its own paths, and those of the records API if that
 * answers.
 */
import { mergeDocuments, type Document } from "../http/openapi.ts";

const RECORDS_TIMEOUT_MS = 2_000;
/**
 * How long the records API's document is cached: it changes only when the records API is replaced.
 */
const KNOWN_FOR_MS = 60_000;

export type Documents = (own: Document) => Promise<Document>;

export function documentsWith(recordsUrl: string | undefined, clock: () => number): Documents {
  let merged: { readonly document: Document; readonly atMs: number } | undefined;
  return async (own) => {
    if (recordsUrl === undefined) return own;
    if (merged && clock() - merged.atMs < KNOWN_FOR_MS) return merged.document;
    const theirs = await fetchDocument(recordsUrl);
    const document = mergeDocuments(own, theirs);
    if (theirs) merged = { document, atMs: clock() };
    return document;
  };
}

async function fetchDocument(recordsUrl: string): Promise<Partial<Document> | undefined> {
  try {
    const response = await fetch(new URL("/openapi.json", recordsUrl), {
      signal: AbortSignal.timeout(RECORDS_TIMEOUT_MS),
    });
    return response.ok ? ((await response.json()) as Partial<Document>) : undefined;
  } catch {
    // The records API does not answer; the edge's own paths are still shown.
    return undefined;
  }
}

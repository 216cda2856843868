/**
 * Reads the lines of a file in pieces, because files may be larger than memory. Each byte becomes
 * one character.
 */
import { createReadStream } from "node:fs";

const PIECE_BYTES = 256 * 1024;
/** The part that is kept of a line that does not end. */
const KEPT = 1024 * 1024;

/** All lines that a piece of the file completes, and how much of the file has been read with them. */
export interface Piece {
  readonly lines: readonly string[];
  readonly readBytes: number;
}

/** Rejects with an error of reading the file. */
export async function* readLines(path: string): AsyncGenerator<Piece> {
  let rest = "";
  let readBytes = 0;
  const pieces: AsyncIterable<Buffer> = createReadStream(path, { highWaterMark: PIECE_BYTES });
  for await (const piece of pieces) {
    readBytes += piece.length;
    const lines = (rest + piece.toString("latin1")).split("\n");
    rest = (lines.pop() ?? "").slice(0, KEPT);
    yield { lines, readBytes };
  }
  if (rest !== "") yield { lines: [rest], readBytes };
}

/** Cuts what comes in pieces into lines. A line beyond the limit is cut to just above it, so that nothing grows with what is sent. */
import { MAX_LINE_BYTES } from "./command.ts";

export interface Lines {
  /** The lines that this piece completes. Bytes are taken as they are, one a character: what is not ASCII is refused anyway. */
  take(piece: Uint8Array | string): string[];
  /** What came after the last newline. */
  rest(): string;
}

/** What of a line is kept: enough to be refused for its length. */
const KEPT = MAX_LINE_BYTES + 64;

export function lineCutter(kept = KEPT): Lines {
  const decoder = new TextDecoder("latin1");
  let rest = "";
  return {
    take(piece) {
      const text = typeof piece === "string" ? piece : decoder.decode(piece);
      const lines = text.split("\n");
      lines[0] = rest + (lines[0] ?? "");
      rest = lines.pop() ?? "";
      if (rest.length > kept) rest = rest.slice(0, kept);
      for (const [index, line] of lines.entries()) {
        if (line.length > kept) lines[index] = line.slice(0, kept);
      }
      return lines;
    },
    rest: () => rest,
  };
}

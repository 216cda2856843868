/**
 * Cuts pieces of input into lines. A line is stored only up to the length at which it is refused.
 */
import { MAX_LINE_BYTES } from "../domain/desk/command.ts";

/** The part of a line that is stored: enough to refuse it for its length. */
const USED_CHARACTERS = MAX_LINE_BYTES + 64;

export interface Lines {
  /**
   * The lines that this piece completes. Each byte becomes one character: text that is not ASCII is
   * refused anyway.
   */
  take(piece: Uint8Array | string): string[];
  /** The text after the last newline. */
  rest(): string;
}

const decoder = new TextDecoder("latin1");

/**
 * Cuts pieces of input into lines. A line above the limit is cut to just above it, so that memory
 * does not grow with the input.
 */
export function lineCutter(usedCharacters = USED_CHARACTERS): Lines {
  let rest = "";
  return {
    take(piece) {
      const text = typeof piece === "string" ? piece : decoder.decode(piece);
      const lines = text.split("\n");
      lines[0] = rest + (lines[0] ?? "");
      cutLong(lines, usedCharacters);
      rest = lines.pop() ?? "";
      return lines;
    },
    rest: () => rest,
  };
}

function cutLong(lines: string[], usedCharacters: number): void {
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] ?? "";
    if (line.length > usedCharacters) lines[index] = line.slice(0, usedCharacters);
  }
}

/** The lines of one message, the last with or without its newline. */
export function splitLines(message: Uint8Array | string): string[] {
  const text = typeof message === "string" ? message : decoder.decode(message);
  const lines = text.split("\n");
  cutLong(lines, USED_CHARACTERS);
  return lines;
}

import { expect, test } from "bun:test";
import fc from "fast-check";
import { MAX_LINE_BYTES, parseDeskLine } from "./command.ts";
import { lineCutter } from "./lines.ts";

const bytes = (text: string) => Buffer.from(text, "latin1");

test("lines come out whole and in order, wherever the pieces are cut", () => {
  const line = fc.string({ unit: fc.constantFrom("a", ",", "\r", " ", "\xe9"), maxLength: 20 });
  const cuts = fc.array(fc.nat({ max: 200 }), { maxLength: 12 });
  fc.assert(
    fc.property(
      fc.array(line, { maxLength: 12 }),
      line,
      cuts,
      fc.boolean(),
      (lines, last, at, asText) => {
        const whole = [...lines, last].join("\n");
        const cutter = lineCutter();
        const ends = [...at.toSorted((a, b) => a - b), whole.length];
        const taken = ends.flatMap((end, index) => {
          const piece = whole.slice(ends[index - 1] ?? 0, end);
          return cutter.take(asText ? piece : bytes(piece));
        });
        expect(taken).toEqual(lines);
        expect(cutter.rest()).toBe(last);
      },
    ),
  );
});

test("an empty line is a line, and nothing is kept of lines that are complete", () => {
  const cutter = lineCutter();
  expect(cutter.take("a\n\nb\n")).toEqual(["a", "", "b"]);
  expect(cutter.rest()).toBe("");
});

test("each byte is one character, so that a line is as long as it was sent", () => {
  const [line] = lineCutter().take(new TextEncoder().encode("é\n"));
  expect(line).toHaveLength(2);
});

test("a line without an end does not grow with what is sent, and is refused for its length", () => {
  const cutter = lineCutter();
  for (let count = 0; count < 100; count += 1) cutter.take("A".repeat(1_000));
  expect(cutter.rest().length).toBeLessThan(2 * MAX_LINE_BYTES);
  const [line = ""] = cutter.take("A\n");
  expect(line.length).toBeLessThan(2 * MAX_LINE_BYTES);
  expect(parseDeskLine(line)).toMatchObject({ code: "LINE_TOO_LONG" });
});

test("a line that is too long does no harm to the next", () => {
  const cutter = lineCutter();
  const [long = "", next] = cutter.take(`${"A".repeat(5_000)}\nADD,alice,1.00\n`);
  expect(long.length).toBeLessThan(2 * MAX_LINE_BYTES);
  expect(next).toBe("ADD,alice,1.00");
});

test("a line of exactly the limit is not cut", () => {
  const longest = "A".repeat(MAX_LINE_BYTES);
  expect(lineCutter().take(`${longest}\n`)).toEqual([longest]);
});

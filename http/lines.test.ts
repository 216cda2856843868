/** Lines in and replies out, by streams and sockets of which the test has both ends. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { MAX_LINE_BYTES } from "../domain/desk/command.ts";
import { until } from "../tests/support/wait.ts";
import type { LineWork } from "./lines.ts";
import { answerSocket } from "./line-socket.ts";
import { answerStream } from "./line-stream.ts";
import { lineCutter } from "./line-cutter.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");

describe("what comes in pieces", () => {
  const cut = (pieces: readonly (string | Uint8Array)[]): string[] => {
    const cutter = lineCutter();
    return [...pieces.flatMap((piece) => cutter.take(piece)), cutter.rest()];
  };

  test("is cut at newlines and nowhere else, the end of a line being its sender's", () => {
    expect(cut(["[1] A\r\n", "\r\n[2] B", "B\n[3] C"])).toEqual([
      "[1] A\r",
      "\r",
      "[2] BB",
      "[3] C",
    ]);
    expect(cut(["A\n"])).toEqual(["A", ""]);
  });

  test("holds each byte as a character, also where a letter is divided between two pieces", () => {
    const letter = Buffer.from("é", "utf8");
    const lines = cut([letter.subarray(0, 1), letter.subarray(1), bytes("\nA")]);
    expect(lines).toEqual(["\u00c3\u00a9", "A"]);
  });

  test("is cut to just above the longest line, however long it goes on, and the next line is whole", () => {
    const piece = "x".repeat(1_000);
    const [long = "", next] = cut([...Array.from({ length: 100 }, () => piece), "\nADD"]);
    expect(long.length).toBeWithin(MAX_LINE_BYTES + 1, MAX_LINE_BYTES + 100);
    expect(next).toBe("ADD");
    expect(cut([`${piece.repeat(100)}\nADD`])).toEqual([long, "ADD"]);
    expect(cut(Array.from({ length: 100 }, () => piece))).toEqual([long]);
  });

  test("is the same lines, wherever the pieces end", () => {
    const texts = fc.string({ unit: fc.constantFrom("A", "\r", "\n", "\u00e9"), maxLength: 60 });
    fc.assert(
      fc.property(texts, fc.array(fc.nat(60), { maxLength: 8 }), (text, cuts) => {
        const ends = [0, ...cuts.map((at) => Math.min(at, text.length)), text.length].toSorted(
          (one, other) => one - other,
        );
        const pieces = ends.slice(1).map((end, index) => bytes(text.slice(ends[index], end)));
        expect(cut(pieces)).toEqual(text.split("\n"));
      }),
    );
  });
});

/** Answers lines when the test says so. */
function heldWork(options: Partial<LineWork> = {}) {
  const open: { readonly line: string; readonly answer: (reply?: string) => void }[] = [];
  const chunks: number[] = [];
  const failures: unknown[] = [];
  const work: LineWork = {
    chunkLines: 512,
    maxOpen: 4_096,
    order: "sent",
    take(lines, answer) {
      chunks.push(lines.length);
      for (const [index, line] of lines.entries()) {
        open.push({ line, answer: (reply = line) => answer(index, reply) });
      }
      return undefined;
    },
    failed: (error) => failures.push(error),
    ...options,
  };
  return { work, open, chunks, failures };
}

/** Answers each line at once with itself. */
const echo = (options: Partial<LineWork> = {}) =>
  heldWork({
    take(lines, answer) {
      for (const [index, line] of lines.entries()) answer(index, line);
      return undefined;
    },
    ...options,
  });

/** A body that the test writes. */
function openBody() {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  let pulls = 0;
  let isCancelled = false;
  const stream = new ReadableStream<Uint8Array>(
    {
      start: (own) => void (controller = own),
      pull: () => void (pulls += 1),
      cancel: () => void (isCancelled = true),
    },
    { highWaterMark: 1 },
  );
  return {
    stream,
    write: (text: string) => controller.enqueue(bytes(text)),
    end: () => controller.close(),
    breakOff: () => controller.error(new Error("broken off")),
    pulls: () => pulls,
    isCancelled: () => isCancelled,
  };
}

const bodyOf = (...pieces: readonly string[]): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(bytes(piece));
      controller.close();
    },
  });

function stream(body: ReadableStream<Uint8Array> | null, work: LineWork, patienceMs = 60_000) {
  const stop = new AbortController();
  const replies = answerStream(body, work, { stop: stop.signal, patienceMs });
  return { replies, stop: () => stop.abort() };
}

describe("the lines of a body", () => {
  test("are answered in their order, in any order of execution, except for blank lines", async () => {
    const { work, open } = heldWork();
    const { replies } = stream(bodyOf("a\r\n\r\n", " \t\nb\nc", "c\nlast"), work);
    const text = new Response(replies).text();
    await until("all are taken", () => open.length === 4);
    for (const { answer } of open.toReversed()) answer();
    expect(await text).toBe("a\r\nb\ncc\nlast\n");
  });

  test("are answered while more are still to come", async () => {
    const body = openBody();
    const { replies } = stream(body.stream, echo().work);
    const reader = replies.getReader();
    for (const line of ["a", "b"]) {
      body.write(`${line}\n`);
      expect(Buffer.from((await reader.read()).value!).toString()).toBe(`${line}\n`);
    }
    body.end();
    expect((await reader.read()).done).toBe(true);
  });

  test("that are done together are answered together, in pieces of limited size", async () => {
    const { work, open } = heldWork();
    const { replies } = stream(bodyOf("x\n".repeat(2_000)), work);
    await until("all are taken", () => open.length === 2_000);
    for (const { answer } of open) answer("y".repeat(99));
    const pieces: number[] = [];
    for await (const piece of replies) pieces.push(piece.length);
    expect(pieces.reduce((sum, length) => sum + length, 0)).toBe(200_000);
    expect([pieces.length, Math.max(...pieces) <= 64 * 1024 + 100]).toEqual([4, true]);
  });

  test("are no more at once than may be open, until replies are read", async () => {
    const { work, chunks } = echo({ chunkLines: 10, maxOpen: 30 });
    const taken = (): number => chunks.length;
    const counting: LineWork = {
      ...work,
      take(lines, answer, isGone) {
        chunks.push(lines.length);
        return work.take(lines, answer, isGone);
      },
    };
    const body = openBody();
    // Only the replies that the stream has buffered are read.
    const { replies } = stream(body.stream, counting);
    body.write("a\n".repeat(1_000));
    body.write("b\n");
    await until("what may be open is taken", () => taken() >= 3);
    const pulls = body.pulls();
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
    // Three chunks, and as many as the one piece of replies that waits to be read.
    expect(chunks.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(60);
    expect(body.pulls()).toBe(pulls);
    body.end();
    expect(await new Response(replies).text()).toBe(`${"a\n".repeat(1_000)}b\n`);
    expect(Math.max(...chunks)).toBe(10);
  });

  test("are executed one chunk at a time if the one before must be done first", async () => {
    let isBusy = false;
    const chunks: number[] = [];
    const { work } = heldWork({
      chunkLines: 100,
      maxOpen: 100,
      async take(lines, answer) {
        expect(isBusy).toBe(false);
        isBusy = true;
        chunks.push(lines.length);
        for (const [index, line] of lines.entries()) {
          if (index % 50 === 0) await new Promise((resolve) => setTimeout(resolve));
          answer(index, line);
        }
        isBusy = false;
      },
    });
    const text = "a\n".repeat(250);
    const { replies } = stream(bodyOf(text), work);
    expect(await new Response(replies).text()).toBe(text);
    expect(chunks).toEqual([100, 100, 50]);
  });

  test("that wait for all before them are taken once those are answered", async () => {
    const { work, open } = heldWork({ waitsForAll: (line) => line === "ALL" });
    const { replies } = stream(bodyOf("a\nb\nALL\nc\nALL\n"), work);
    const text = new Response(replies).text();
    const taken = () => open.map(({ line }) => line).join("");
    await until("the first are taken", () => taken() === "ab");
    open[1]!.answer();
    expect(taken()).toBe("ab");
    open[0]!.answer();
    await until("the one that waited is taken, and what comes after", () => taken() === "abALLc");
    open[2]!.answer();
    expect(taken()).toBe("abALLc");
    open[3]!.answer();
    await until("so is the last", () => open.length === 5);
    open[4]!.answer();
    expect(await text).toBe("a\nb\nALL\nc\nALL\n");
  });

  test("that are taken when the server stops are answered, no more are taken, and the answer is complete", async () => {
    const { work, open } = heldWork({ chunkLines: 2, maxOpen: 2 });
    const body = openBody();
    const { replies, stop } = stream(body.stream, work);
    body.write("a\nb\nc\n");
    const text = new Response(replies).text();
    await until("two are taken", () => open.length === 2);
    stop();
    await until("no more is read", () => body.isCancelled());
    for (const { answer } of open) answer();
    expect(await text).toBe("a\nb\n");
    expect(open).toHaveLength(2);
    // A server that has stopped takes none.
    const late = AbortSignal.abort();
    const none = answerStream(bodyOf("d\n"), work, { stop: late, patienceMs: 1_000 });
    expect(await new Response(none).text()).toBe("");
    expect(open).toHaveLength(2);
  });

  test("are taken until something else ends it", async () => {
    let taken = 0;
    const { work } = echo({ chunkLines: 1, whyOver: () => (taken++ < 3 ? undefined : "OVER") });
    const body = openBody();
    const { replies } = stream(body.stream, work);
    body.write("a\nb\nc\nd\ne\n");
    expect(await new Response(replies).text()).toBe("a\nb\nc\n");
    expect(body.isCancelled()).toBe(true);
  });

  test("of a sender that does not read its replies are given up", async () => {
    let isGone = (): boolean => false;
    const { work } = echo();
    const noting: LineWork = {
      ...work,
      take(lines, answer, gone) {
        isGone = gone;
        return work.take(lines, answer, gone);
      },
    };
    const body = openBody();
    const { replies } = stream(body.stream, noting, 20);
    body.write("a\n");
    await until("it is given up", () => isGone());
    await until("nothing more is read of it", () => body.isCancelled());
    expect(new Response(replies).text()).rejects.toThrow("does not read");
  });

  test("of a sender that goes away are no longer answered", async () => {
    let isGone: (() => boolean) | undefined;
    const { work } = heldWork({
      take: (_lines, _answer, gone) => {
        isGone = gone;
        return undefined;
      },
    });
    const body = openBody();
    const { replies } = stream(body.stream, work);
    body.write("a\n");
    await until("it is taken", () => isGone !== undefined);
    await replies.cancel();
    await until("nothing more is read of it", () => body.isCancelled());
    expect(isGone?.()).toBe(true);
  });

  test("of a sender that disconnects are answered as far as they came", async () => {
    const body = openBody();
    const { replies } = stream(body.stream, echo().work);
    const reader = replies.getReader();
    body.write("a\nhal");
    expect(Buffer.from((await reader.read()).value!).toString()).toBe("a\n");
    body.breakOff();
    expect((await reader.read()).done).toBe(true);
  });

  test.each(["at once", "later"])(
    "that fail (%s) break the answer off, so that it is not taken for whole, and are reported",
    async (when) => {
      const bug = new Error("a bug");
      const { work, failures } = heldWork({
        take(_lines, answer) {
          answer(0, "a");
          if (when === "later") return Promise.reject(bug);
          throw bug;
        },
      });
      const { replies } = stream(bodyOf("a\nb\n"), work);
      expect(new Response(replies).text()).rejects.toThrow("unanswered");
      await until("it is reported", () => failures.length === 1);
      expect(failures).toEqual([bug]);
    },
  );
});

function openSocket(work: LineWork, maxUnreadBytes?: number) {
  const sent: string[] = [];
  const closed: [code: number, reason: string][] = [];
  const state = { unreadBytes: 0 };
  const lines = answerSocket(
    {
      send: (text) => void sent.push(text),
      close: (code, reason) => void closed.push([code, reason]),
      unreadBytes: () => state.unreadBytes,
    },
    work,
    maxUnreadBytes === undefined ? {} : { maxUnreadBytes },
  );
  return { lines, sent, closed, state };
}

describe("the lines of a socket", () => {
  test("come several in a message, the last with or without its newline, and are answered as they are ready", async () => {
    const { work, open } = heldWork({ order: "ready" });
    const { lines, sent } = openSocket(work);
    lines.take("a\nb\r\n\n");
    lines.take(bytes("c"));
    expect(open.map(({ line }) => line)).toEqual(["a", "b\r", "c"]);
    open[2]!.answer();
    open[0]!.answer();
    await until("both leave in one message", () => sent.length === 1);
    open[1]!.answer();
    await until("the other follows", () => sent.length === 2);
    expect(sent).toEqual(["c\na", "b\r"]);
  });

  test("are answered in their order if that is wanted", async () => {
    const { work, open } = heldWork();
    const { lines, sent } = openSocket(work);
    lines.take("a\nb\nc");
    open[1]!.answer();
    open[0]!.answer();
    await until("those that are next leave", () => sent.length === 1);
    open[2]!.answer();
    await until("the last follows", () => sent.length === 2);
    expect(sent).toEqual(["a\nb", "c"]);
  });

  test("of a sender with too many of them open close it, and none of that message is taken", async () => {
    const { work, open } = heldWork({ maxOpen: 3, chunkLines: 3 });
    const { lines, sent, closed } = openSocket(work);
    lines.take("a\nb");
    lines.take("c\nd");
    expect(closed).toEqual([[1008, "too many lines"]]);
    expect(open).toHaveLength(2);
    for (const { answer } of open) answer();
    lines.take("e");
    await Promise.resolve();
    expect([sent, open.length]).toEqual([[], 2]);
  });

  test("may be as many again once they are answered", async () => {
    const { work } = echo({ maxOpen: 3, chunkLines: 3 });
    const { lines, sent, closed } = openSocket(work);
    for (let round = 1; round <= 10; round += 1) {
      lines.take("a\nb\nc");
      await until("they are answered", () => sent.length === round);
    }
    expect(closed).toEqual([]);
  });

  test("of a sender that does not read close it", async () => {
    const { work } = echo();
    const { lines, closed, state } = openSocket(work, 1_000);
    state.unreadBytes = 1_000;
    lines.take("a");
    state.unreadBytes = 1_001;
    lines.take("b");
    await until("it is closed", () => closed.length === 1);
    expect(closed).toEqual([[1008, "the replies are not read"]]);
  });

  test("that are taken when the server stops are answered, and then it closes", async () => {
    const { work, open } = heldWork();
    const busy = openSocket(work);
    busy.lines.take("a\nb");
    const idle = openSocket(work);
    for (const { lines } of [busy, idle]) lines.stop();
    expect(idle.closed).toEqual([[1001, "the server is going away"]]);
    busy.lines.take("c");
    open[0]!.answer();
    await until("the first is answered", () => busy.sent.length === 1);
    expect(busy.closed).toEqual([]);
    open[1]!.answer();
    await until("it closes", () => busy.closed.length === 1);
    expect(busy.sent).toEqual(["a", "b"]);
    expect(open).toHaveLength(2);
  });

  test("are taken until something else ends it, by the reason that it gives", () => {
    let why: string | undefined;
    const { work, open } = heldWork({ whyOver: () => why });
    const { lines, closed } = openSocket(work);
    lines.take("a");
    why = "TOKEN_EXPIRED";
    lines.take("b");
    expect(closed).toEqual([[1008, "TOKEN_EXPIRED"]]);
    expect(open).toHaveLength(1);
  });

  test("that fail close it, and are reported, also while the server stops", async () => {
    const failed = Promise.withResolvers<void>();
    const { work, failures } = heldWork({ take: () => failed.promise });
    const { lines, closed } = openSocket(work);
    lines.take("a");
    lines.stop();
    failed.reject(new Error("a bug"));
    await until("it is closed", () => closed.length === 1);
    expect(closed).toEqual([[1001, "INTERNAL"]]);
    expect(failures).toHaveLength(1);
  });
});

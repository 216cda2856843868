import { afterEach, expect, test } from "bun:test";
import { problemOf } from "../../../domain/error-codes.ts";
import type { Progress } from "../../../domain/copier/progress.ts";
import { createApi } from "../api.ts";
import { followFanOut } from "./live.ts";

/** A peer of its own on the network that speaks the edge's two addresses, and breaks off as told. */
let server: Bun.Server<undefined> | undefined;
afterEach(async () => {
  await server?.stop(true);
});

interface Peer {
  feed(round: number): Response;
  ask?(round: number): Response;
}

async function follow(peer: Peer) {
  const rounds = { feed: 0, ask: 0 };
  const tokens = new Set<string | null>();
  server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      tokens.add(request.headers.get("authorization"));
      if (request.url.endsWith("/v1/signals/s0_1/live")) return peer.feed((rounds.feed += 1));
      return peer.ask?.((rounds.ask += 1)) ?? new Response(null, { status: 502 });
    },
  });
  const placed: number[] = [];
  const line: boolean[] = [];
  const problem = await followFanOut({
    api: createApi("token-1", () => undefined, server.url.origin),
    id: "s0_1",
    pauseMs: 1,
    stop: AbortSignal.timeout(5_000),
    onProgress: (progress) => placed.push(progress.counts.placed),
    onLine: (up) => line.push(up),
  });
  return { placed, line, problem, rounds, tokens: [...tokens] };
}

test("each event moves the progress, and the end of the fan-out ends the following", async () => {
  const { placed, rounds, tokens } = await follow({ feed: () => events([0, 400, 1_000]) });
  expect(placed).toEqual([0, 400, 1_000]);
  expect(rounds).toEqual({ feed: 1, ask: 0 });
  expect(tokens).toEqual(["Bearer token-1"]);
});

test("a feed that breaks off is opened again until the fan-out is complete", async () => {
  const { placed, rounds } = await follow({
    feed: (round) => events(round === 1 ? [0, 400] : [700, 1_000]),
    ask: () => Response.json(progress(600)),
  });
  expect(placed).toEqual([0, 400, 600, 700, 1_000]);
  expect(rounds).toEqual({ feed: 2, ask: 1 });
});

test("where no feed gets through, asking shows the fan-out to its end", async () => {
  const { placed, line } = await follow({
    feed: () => new Response("bad gateway", { status: 502 }),
    ask: (round) =>
      round === 2 ? new Response(null, { status: 502 }) : Response.json(progress(400 * round)),
  });
  expect(placed).toEqual([400, 1_000]);
  expect(line).toEqual([true, false, true]);
});

test("unknown outcomes are watched on after the fan-out is complete", async () => {
  const { placed } = await follow({
    feed: () => stream([progress(990, 10)]),
    ask: (round) => Response.json(round < 3 ? progress(990, 10) : progress(1_000)),
  });
  expect(placed).toEqual([990, 990, 990, 1_000]);
});

test("a refusal ends the following and is told", async () => {
  const problem = problemOf("SIGNAL_UNKNOWN");
  const refusal = () =>
    Response.json(problem, {
      status: problem.status,
      headers: { "content-type": "application/problem+json" },
    });
  expect((await follow({ feed: refusal, ask: refusal })).problem).toEqual(problem);
});

function events(placed: readonly number[]): Response {
  return stream(placed.map((each) => progress(each)));
}

function stream(progresses: readonly Progress[]): Response {
  const text = progresses.map((each) => `event: progress\ndata: ${JSON.stringify(each)}\n\n`);
  return new Response(text.join(""), { headers: { "content-type": "text/event-stream" } });
}

function progress(placed: number, unknown = 0): Progress {
  const counts = { followers: 1_000, placed: Math.min(placed, 1_000), rejected: 0, skipped: 0 };
  return {
    id: "s0_1",
    status: counts.placed + unknown === 1_000 ? "complete" : "running",
    counts: { ...counts, unknown },
    timing: { acceptedAtMs: 1, firstMs: 5, lastMs: 9 },
  };
}

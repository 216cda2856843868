/** Runs the same cases on each runtime, each time with its own set-up. */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { HomeKeys } from "../../redis/keys.ts";
import { readAnswer, post, type Answer } from "./client.ts";
import { RUNTIMES, type RunningEdge } from "./launch.ts";
import { CHANNEL, PARTITIONS, startWorld, type World } from "./world.ts";

const START_TIMEOUT_MS = 60_000;
export const HOME = new HomeKeys(PARTITIONS.ofChannel(CHANNEL));

type Headers = Record<string, string>;

export interface At {
  readonly world: World;
  readonly url: string;
  /** The headers of the provider. */
  readonly bearer: Headers;
  send(body: unknown, headers?: Headers): Promise<Answer>;
  get(path: string, headers?: Headers): Promise<Answer>;
  hook(path: string, body: unknown, headers?: Headers): Promise<Answer>;
  /** How many signals were accepted so far. */
  accepted(): Promise<number>;
  /** Sends a request that must be refused, and checks that nothing was accepted. */
  refused(code: string, status: number, ask: () => Promise<Answer>): Promise<Answer>;
}

export function onEachRuntime(cases: (at: At) => void): void {
  describe.each(Object.entries(RUNTIMES))("on %s", (_name, launch) => {
    let world: World;
    let edge: RunningEdge;
    let bearer: Headers;

    beforeAll(async () => {
      world = await startWorld();
      edge = await launch(world.settings);
      bearer = { authorization: `Bearer ${await world.token()}` };
    }, START_TIMEOUT_MS);
    afterAll(async () => {
      await edge.stop();
      await world.stop();
    });

    const accepted = async (): Promise<number> =>
      Number(await world.client.send("XLEN", [HOME.signals]));
    cases({
      get world() {
        return world;
      },
      get url() {
        return edge.url;
      },
      get bearer() {
        return bearer;
      },
      accepted,
      send: async (body, headers = bearer) => await post(`${edge.url}/v1/signals`, body, headers),
      get: async (path, headers = bearer) =>
        await readAnswer(await fetch(edge.url + path, { headers })),
      hook: async (path, body, headers) => await post(`${edge.url}/hooks/${path}`, body, headers),
      async refused(code, status, ask) {
        const before = await accepted();
        const answer = await ask();
        expectProblem(answer, code, status);
        expect(await accepted()).toBe(before);
        return answer;
      },
    });
  });
}

export function expectProblem({ status, headers, body }: Answer, code: string, as: number): void {
  expect([status, body["code"]]).toEqual([as, code]);
  expect(headers.get("content-type")).toBe("application/problem+json");
}

import { afterAll, expect, test } from "bun:test";
import { createDocument, type Document } from "../http/openapi.ts";
import { documentsWith } from "./document.ts";

let asked = 0;
/** A records API that is up, down, or changed. */
let answer: () => Response = () => Response.json({ paths: { "/v1/channels": { get: {} } } });
const records = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch() {
    asked += 1;
    return answer();
  },
});
afterAll(() => records.stop(true));

const own = createDocument({ title: "Edge", version: "1" }, [], []);
const pathsOf = ({ paths }: Document) => Object.keys(paths);

test("the records API's paths are beside the edge's own, and are fetched once a minute", async () => {
  let nowMs = 0;
  const documents = documentsWith(records.url.href, () => nowMs);
  for (const _ of ["first", "again"]) {
    expect(pathsOf(await documents(own))).toEqual(["/v1/channels"]);
  }
  expect(asked).toBe(1);
  answer = () => Response.json({ paths: { "/v1/signals": { get: {} } } });
  nowMs = 60_000;
  expect(pathsOf(await documents(own))).toEqual(["/v1/signals"]);
});

test("while the records API does not answer, the edge's own paths are shown, and it is asked again the next time", async () => {
  const documents = documentsWith(records.url.href, () => 0);
  answer = () => new Response("", { status: 503 });
  expect(pathsOf(await documents(own))).toEqual([]);
  answer = () => Response.json({ paths: { "/v1/channels": { get: {} } } });
  expect(pathsOf(await documents(own))).toEqual(["/v1/channels"]);
  expect(await documentsWith(undefined, () => 0)(own)).toBe(own);
});

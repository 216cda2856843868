import { expect, test } from "bun:test";
import { nameOf, placeOf } from "./place.ts";

test("a bug's place is the first frame in our code, whichever library threw it", () => {
  const thrown = new TypeError("s3cret");
  expect(placeOf(thrown)).toMatch(/^http\/place\.test\.ts:\d+$/);
  const inside = new Error("x");
  inside.stack = [
    "Error: at edge/fake.ts:1",
    "    at parse (/srv/node_modules/hono/dist/edge/parse.js:3:1)",
    "    at native:1:1",
    "    at async handle (/srv/fanfare/workers/api/signals.ts:41:7)",
    "    at other (/srv/fanfare/edge/app.ts:9:1)",
  ].join("\n");
  expect(placeOf(inside)).toBe("workers/api/signals.ts:41");
});

test("in a bundle it is the bundle's line, and without a stack there is none", () => {
  const bundled = new Error("x");
  bundled.stack = "Error: x\n    at handle (edge.js:1234:5)";
  expect(placeOf(bundled)).toBe("edge.js:1234");
  expect(placeOf("text")).toBeUndefined();
  expect([nameOf(new RangeError("x")), nameOf("text")]).toEqual(["RangeError", "string"]);
  const reset = Object.assign(new Error("s3cret"), { code: "ECONNRESET" });
  expect(nameOf(reset)).toBe("Error ECONNRESET");
});

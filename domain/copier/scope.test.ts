import { expect, test } from "bun:test";
import { parseScope } from "./scope.ts";

test.each([
  ["platform", "platform", ""],
  ["channel:demo", "channel", "demo"],
  ["provider:p_1", "provider", "p_1"],
  ["follower:f-1", "follower", "f-1"],
  ["broker:desk", "broker", "desk"],
] as const)("%p is a scope", (text, kind, id) => {
  expect(parseScope(text)).toEqual({ kind, id });
});

test.each(
  [
    ["", "platform:x", "channel", "channel:", "channel:a:b", "channel:a b", "version", "account:a"],
  ].flat(),
)("%p is none", (text) => {
  expect(parseScope(text)).toBeUndefined();
});

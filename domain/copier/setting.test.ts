import { expect, test } from "bun:test";
import { parseSettingsScope } from "./setting.ts";

test("a scope is the platform, or a kind and an id", () => {
  expect(parseSettingsScope("platform")).toEqual({ kind: "platform", id: "" });
  expect(parseSettingsScope("channel:demo")).toEqual({ kind: "channel", id: "demo" });
  expect(parseSettingsScope("provider:p_1")).toEqual({ kind: "provider", id: "p_1" });
  expect(parseSettingsScope("follower:f-1")).toEqual({ kind: "follower", id: "f-1" });
});

test.each([
  "",
  "platform:x",
  "channel",
  "channel:",
  "channel:a:b",
  "channel:a b",
  `channel:${"a".repeat(65)}`,
  "broker:desk",
  "Channel:demo",
  " platform",
  "platform\n",
])("%p names no scope", (text) => {
  expect(parseSettingsScope(text)).toBeUndefined();
});

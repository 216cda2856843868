import { expect, test } from "bun:test";
import * as v from "valibot";
import { check } from "./check.ts";

const Thing = v.strictObject({
  name: v.pipe(v.string("must be a text"), v.maxLength(3, "must be short")),
  inner: v.optional(v.object({ at: v.number("must be a number") })),
});
const faultsOf = (value: unknown) => {
  const checked = check(Thing, value, "BODY_INVALID");
  return checked.ok ? [] : checked.faults;
};

test("a fault names the field and its allowed values", () => {
  expect(faultsOf({ name: "long", inner: { at: "x" } })).toEqual([
    { path: "name", message: "must be short" },
    { path: "inner.at", message: "must be a number" },
  ]);
  expect(faultsOf({ inner: {} })).toEqual([
    { path: "name", message: "is required" },
    { path: "inner.at", message: "is required" },
  ]);
  for (const value of [null, "text", 7]) {
    expect(faultsOf(value)).toEqual([{ path: "", message: "must be a JSON object" }]);
  }
});

test("nothing that was sent is repeated, except a field's name that looks like one", () => {
  expect(faultsOf({ name: "a", extra: "s3cret" })).toEqual([
    { path: "extra", message: "is not a field here" },
  ]);
  expect(faultsOf({ name: "a", "<script>": 1 })).toEqual([
    { path: "", message: "is not a field here" },
  ]);
  expect(JSON.stringify(faultsOf({ name: "s3cret" }))).not.toContain("s3cret");
});

test("the number of faults of one value is limited", () => {
  const List = v.array(v.number("must be a number"));
  const checked = check(
    List,
    Array.from({ length: 100 }, () => "x"),
    "BODY_INVALID",
  );
  expect(checked).toMatchObject({ ok: false });
  expect(checked.ok ? [] : checked.faults).toHaveLength(16);
});

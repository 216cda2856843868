/**
 * `cjson` as in Redis: numbers of 14 digits, an empty table as `{}`, a list where keys are 1 to n.
 */
import { LuaType } from "wasmoon-lua5.1";
import type { LuaStack } from "./lua-stack.ts";

/** Pushes the value, or nil and an error; returns how many values it pushed. */
export function decodeJson(stack: LuaStack, text: string): number {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    stack.pushNil();
    stack.pushText("ERR Expected value but found invalid token at character 1");
    return 2;
  }
  push(stack, value);
  return 1;
}

function push(stack: LuaStack, value: unknown): void {
  if (typeof value === "string") stack.pushText(value);
  else if (typeof value === "number") stack.pushNumber(value);
  else if (typeof value === "boolean") stack.pushBoolean(value);
  else if (value === null) throw new Error("cjson.null is not simulated");
  else if (Array.isArray(value)) {
    stack.pushTable(0, 0);
    for (const [index, item] of value.entries()) {
      push(stack, item);
      stack.setIndex(index + 1);
    }
  } else {
    stack.pushTable(0, 0);
    for (const [name, item] of Object.entries(value as object)) {
      stack.pushText(name);
      push(stack, item);
      stack.setPair();
    }
  }
}

export function encodeJson(stack: LuaStack, at: number): string {
  const type = stack.type(at);
  if (type === LuaType.String) return quote(stack.text(at));
  if (type === LuaType.Number) return numberText(stack.number(at));
  if (type === LuaType.Boolean) return String(stack.boolean(at));
  if (type === LuaType.Nil) return "null";
  if (type === LuaType.Table) return encodeTable(stack, at);
  throw new Error("cjson.encode of something that is no JSON");
}

/** The pairs in the order of Lua's own walk through its table. */
function encodeTable(stack: LuaStack, at: number): string {
  const pairs: [key: string | number, text: string][] = [];
  stack.pushNil();
  while (stack.next(at)) {
    const top = stack.size();
    // A number must stay a number during the iteration.
    const key =
      stack.type(top - 1) === LuaType.Number ? stack.number(top - 1) : stack.text(top - 1);
    pairs.push([key, encodeJson(stack, top)]);
    stack.pop();
  }
  const isList = pairs.length > 0 && pairs.every(([key]) => typeof key === "number" && key > 0);
  if (isList) {
    const items: string[] = [];
    for (const [key, text] of pairs) items[Number(key) - 1] = text;
    return `[${Array.from(items, (item) => item ?? "null").join(",")}]`;
  }
  return `{${pairs.map(([key, text]) => `${quote(String(key))}:${text}`).join(",")}}`;
}

/** cjson escapes the slash, and control characters as JSON.stringify does but for DEL. */
function quote(text: string): string {
  return JSON.stringify(text).replaceAll("/", "\\/").replaceAll("\u007f", "\\u007f");
}

/** `%.14g`. */
function numberText(value: number): string {
  const rounded = Number(value.toPrecision(14));
  if (!Number.isInteger(rounded) || Math.abs(rounded) < 1e14) return String(rounded);
  const [digits = "", exponent = ""] = rounded.toExponential().split("e");
  return `${digits}e${exponent.replace(/^([+-])(\d)$/, "$10$2")}`;
}

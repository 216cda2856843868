/**
 * The scripts' Lua: 5.1 as in Redis, compiled to WebAssembly, with `redis`, `cjson` and the
 * conversions between replies and Lua values that Redis documents. One Lua state serves all
 * simulated Redis servers of a process: a script leaves nothing in it, because it cannot create a
 * global.
 */
import { createHash } from "node:crypto";
import { LuaApi, LUA_GLOBALSINDEX, LUA_REGISTRYINDEX, LuaType } from "wasmoon-lua5.1";
import { decodeJson, encodeJson } from "./cjson.ts";
import { LuaStack } from "./lua-stack.ts";
import { Pairs, RedisError, Status, type Reply } from "./values.ts";

/** The implementation of `redis.call` in the running script. */
export type CallRedis = (command: string, args: readonly string[]) => Reply;

/**
 * `redis.call` raises what `redis.pcall` returns. `%d` is corrected for numbers beyond 32 bits,
 * which WebAssembly's `long` cannot hold and Redis' can.
 */
const PRELUDE = `
local call, decode, encode, format = __call, __decode, __encode, string.format
__call, __decode, __encode = nil, nil, nil
local function checked(value, fault)
  if fault then error(fault, 0) end
  return value
end
redis = {
  call = function(...)
    local reply = call(...)
    if type(reply) == 'table' and reply.err then error(reply, 0) end
    return reply
  end,
  pcall = function(...) return (call(...)) end,
  error_reply = function(text) return {err = text} end,
  status_reply = function(text) return {ok = text} end,
}
cjson = {
  decode = function(text) return checked(decode(text)) end,
  encode = function(value) return checked(encode(value)) end,
}
string.format = function(pattern, ...)
  if not string.find(pattern, '%%[-+ 0]*%d*d') then return format(pattern, ...) end
  local args, at = {...}, 0
  pattern = string.gsub(pattern, '%%([-+ 0#]*[%d.]*)([%a%%])', function(flags, kind)
    if kind == '%' then return nil end
    at = at + 1
    if kind ~= 'd' then return nil end
    local number = tonumber(args[at])
    if number then args[at] = number < 0 and math.ceil(number) or math.floor(number) end
    return '%' .. flags .. '.0f'
  end)
  return format(pattern, unpack(args, 1, select('#', ...)))
end
for _, name in ipairs({'io', 'os', 'require', 'module', 'package', 'dofile', 'loadfile', 'print', 'debug'}) do
  _G[name] = nil
end
setmetatable(_G, {
  __newindex = function(_, name) error('Script attempted to create global variable ' .. tostring(name), 2) end,
  __index = function(_, name) error('Script attempted to access nonexistent global variable ' .. tostring(name), 2) end,
})
`;

const api = await LuaApi.initialize();
const stack = new LuaStack(api);
let running: CallRedis | undefined;
/** A fault of the simulation itself: it passes through Lua, and is thrown when Lua has returned. */
let bug: unknown;

function register(name: string, body: () => number): void {
  const pointer = api.module.addFunction(() => {
    try {
      return body();
    } catch (error) {
      bug ??= error;
      stack.clear();
      stack.pushNil();
      return 1;
    }
  }, "ii");
  api.lua_pushcclosure(stack.state, pointer, 0);
  api.lua_setglobal(stack.state, name);
}

register("__call", () => {
  const [command = "", ...args] = Array.from({ length: stack.size() }, (_, index) =>
    stack.argument(index + 1),
  );
  let reply: Reply | RedisError;
  try {
    if (!running) throw new Error("no script is running");
    reply = running(command.toUpperCase(), args);
  } catch (error) {
    if (!(error instanceof RedisError)) throw error;
    reply = error;
  }
  stack.clear();
  if (reply instanceof RedisError) pushField("err", reply.message);
  else pushReply(reply);
  return 1;
});
register("__decode", () => {
  const text = stack.text(1);
  stack.clear();
  return decodeJson(stack, text);
});
register("__encode", () => {
  const text = encodeJson(stack, 1);
  stack.clear();
  stack.pushText(text);
  return 1;
});
stack.load(PRELUDE);
if (api.lua_pcall(stack.state, 0, 0, 0) !== 0) throw new Error(stack.text(-1));

function pushField(name: string, text: string): void {
  stack.pushTable(0, 1);
  stack.pushText(name);
  stack.pushText(text);
  stack.setPair();
}

/** Integers are numbers, texts strings, nothing is false, and a map is a flat list. */
function pushReply(reply: Reply): void {
  if (reply === null) stack.pushBoolean(false);
  else if (typeof reply === "string") stack.pushText(reply);
  else if (typeof reply === "number") stack.pushNumber(reply);
  else if (reply instanceof Status) pushField("ok", reply.text);
  else {
    const items = reply instanceof Pairs ? reply.flat : (reply as readonly Reply[]);
    stack.pushTable(items.length, 0);
    for (const [index, item] of items.entries()) {
      pushReply(item);
      stack.setIndex(index + 1);
    }
  }
}

/** Numbers lose their fraction, true is 1, false is nothing, and a list ends at its first nil. */
function readReply(at: number): Reply {
  const type = stack.type(at);
  if (type === LuaType.String) return stack.text(at);
  if (type === LuaType.Number) return Math.trunc(stack.number(at)) + 0;
  if (type === LuaType.Boolean) return stack.boolean(at) ? 1 : null;
  return type === LuaType.Table ? readTable(at) : null;
}

function readTable(at: number): Reply {
  const fault = readField(at, "err");
  if (fault !== undefined) throw new RedisError(fault);
  const status = readField(at, "ok");
  if (status !== undefined) return new Status(status);
  const items: Reply[] = [];
  for (let index = 1; ; index += 1) {
    stack.pushIndex(at, index);
    const top = stack.size();
    if (stack.type(top) === LuaType.Nil) {
      stack.pop();
      return items;
    }
    items.push(readReply(top));
    stack.pop();
  }
}

function readField(at: number, name: string): string | undefined {
  stack.pushText(name);
  stack.pushRaw(at);
  const text = stack.type(-1) === LuaType.String ? stack.text(-1) : undefined;
  stack.pop();
  return text;
}

const compiled = new Map<string, number>();

/** The hash by which Redis would identify it. */
export function hashScript(lua: string): string {
  return createHash("sha1").update(lua).digest("hex");
}

function compile(lua: string): number {
  const known = compiled.get(lua);
  if (known !== undefined) return known;
  const fault = stack.load(lua);
  if (fault !== undefined) throw new RedisError(`ERR Error compiling script: ${fault}`);
  const reference = api.luaL_ref(stack.state, LUA_REGISTRYINDEX);
  compiled.set(lua, reference);
  return reference;
}

function setGlobalList(name: string, items: readonly string[]): void {
  stack.pushText(name);
  pushReply(items);
  stack.setRaw(LUA_GLOBALSINDEX);
}

/** Runs a script to its end. Throws a RedisError if Redis would reply one. */
export function evaluate(
  lua: string,
  keys: readonly string[],
  args: readonly string[],
  call: CallRedis,
): Reply {
  stack.clear();
  const reference = compile(lua);
  setGlobalList("KEYS", keys);
  setGlobalList("ARGV", args);
  running = call;
  stack.pushIndex(LUA_REGISTRYINDEX, reference);
  const status = api.lua_pcall(stack.state, 0, 1, 0);
  running = undefined;
  try {
    if (bug !== undefined) throw bug as Error;
    if (status === 0) return readReply(1);
    const fault = stack.type(1) === LuaType.Table ? readField(1, "err") : stack.text(1);
    throw new RedisError(fault?.replace(/^\[string .*?\]:\d+: /, "ERR ") ?? "ERR");
  } finally {
    bug = undefined;
    stack.clear();
  }
}

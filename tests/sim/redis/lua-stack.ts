/**
 * The Lua stack with few steps between JavaScript and WebAssembly: texts are written and read in
 * its memory directly, because that is where a script's time goes.
 */
import { type LuaApi, LuaReturn, LuaType } from "wasmoon-lua5.1";

interface Exports {
  readonly HEAPU8: Uint8Array;
  _malloc(size: number): number;
  _lua_pushlstring(state: number, text: number, length: number): void;
  _lua_tolstring(state: number, at: number, length: number): number;
  _lua_type(state: number, at: number): LuaType;
  _lua_gettop(state: number): number;
  _lua_settop(state: number, at: number): void;
  _lua_pushnumber(state: number, value: number): void;
  _lua_pushboolean(state: number, value: number): void;
  _lua_pushnil(state: number): void;
  _lua_tonumber(state: number, at: number): number;
  _lua_toboolean(state: number, at: number): number;
  _lua_createtable(state: number, items: number, fields: number): void;
  _lua_rawset(state: number, at: number): void;
  _lua_rawseti(state: number, at: number, index: number): void;
  _lua_rawget(state: number, at: number): void;
  _lua_rawgeti(state: number, at: number, index: number): void;
  _lua_next(state: number, at: number): number;
}

const FIRST_SCRATCH_BYTES = 65_536;

export class LuaStack {
  readonly state: number;
  readonly #api: LuaApi;
  readonly #lua: Exports;
  #memory: Buffer;
  /** Where an input text is placed; its first word receives lengths on the way out. */
  #scratch: number;
  #scratchBytes = FIRST_SCRATCH_BYTES;

  constructor(api: LuaApi) {
    this.#api = api;
    this.#lua = api.module as unknown as Exports;
    this.state = api.luaL_newstate() as unknown as number;
    api.luaL_openlibs(this.state as never);
    this.#scratch = this.#lua._malloc(this.#scratchBytes);
    this.#memory = Buffer.from(this.#lua.HEAPU8.buffer);
  }

  /** WebAssembly's memory moves when it grows. */
  #bytes(): Buffer {
    if (this.#memory.buffer !== this.#lua.HEAPU8.buffer) {
      this.#memory = Buffer.from(this.#lua.HEAPU8.buffer);
    }
    return this.#memory;
  }

  size(): number {
    return this.#lua._lua_gettop(this.state);
  }
  clear(): void {
    this.#lua._lua_settop(this.state, 0);
  }
  pop(): void {
    this.#lua._lua_settop(this.state, -2);
  }
  type(at: number): LuaType {
    return this.#lua._lua_type(this.state, at);
  }

  pushText(text: string): void {
    const most = text.length * 3;
    if (most > this.#scratchBytes) {
      this.#scratchBytes = most * 2;
      // The old buffer is not freed: this happens a few times in a process.
      this.#scratch = this.#lua._malloc(this.#scratchBytes);
    }
    const length = this.#bytes().write(text, this.#scratch, "utf8");
    this.#lua._lua_pushlstring(this.state, this.#scratch, length);
  }
  pushNumber(value: number): void {
    this.#lua._lua_pushnumber(this.state, value);
  }
  pushBoolean(value: boolean): void {
    this.#lua._lua_pushboolean(this.state, value ? 1 : 0);
  }
  pushNil(): void {
    this.#lua._lua_pushnil(this.state);
  }
  pushTable(items: number, fields: number): void {
    this.#lua._lua_createtable(this.state, items, fields);
  }
  /** `table[key] = value` of the three uppermost. */
  setPair(): void {
    this.setRaw(-3);
  }
  setRaw(at: number): void {
    this.#lua._lua_rawset(this.state, at);
  }
  /** `table[index] = value` of the two uppermost. */
  setIndex(index: number): void {
    this.#lua._lua_rawseti(this.state, -2, index);
  }
  /** Replaces the key on top by what the table holds for it. */
  pushRaw(at: number): void {
    this.#lua._lua_rawget(this.state, at);
  }
  pushIndex(at: number, index: number): void {
    this.#lua._lua_rawgeti(this.state, at, index);
  }
  next(at: number): boolean {
    return this.#lua._lua_next(this.state, at) !== 0;
  }

  /**
   * Turns a number in place into its text, as Lua does: never on a key during the iteration of its
   * table.
   */
  text(at: number): string {
    const start = this.#lua._lua_tolstring(this.state, at, this.#scratch);
    const bytes = this.#bytes();
    const length = bytes.readUInt32LE(this.#scratch);
    return start === 0 ? "" : bytes.toString("utf8", start, start + length);
  }
  number(at: number): number {
    return this.#lua._lua_tonumber(this.state, at);
  }
  boolean(at: number): boolean {
    return this.#lua._lua_toboolean(this.state, at) !== 0;
  }

  /** An argument of `redis.call`: numbers go with 17 digits, where Lua itself would write 14. */
  argument(at: number): string {
    const type = this.type(at);
    if (type === LuaType.String) return this.text(at);
    if (type !== LuaType.Number) {
      throw new Error("a script passes something else than a string or a number to redis.call");
    }
    const value = this.number(at);
    if (Number.isSafeInteger(value)) return String(value);
    return String(Number(value.toPrecision(17)));
  }

  /** Compiles a chunk and leaves it on the stack; returns a text if there is an error. */
  load(lua: string): string | undefined {
    if (this.#api.luaL_loadstring(this.state as never, lua) === LuaReturn.Ok) return undefined;
    const fault = this.text(-1);
    this.pop();
    return fault;
  }
}

import { expect, test } from "bun:test";
import * as v from "valibot";
import { DeskEnv } from "../desk/server/env.ts";
import { PlaceEnv } from "../copier/place/env.ts";
import { SETTING_NAMES } from "../settings.ts";
import { readSettings, summarizeSettings } from "./env.ts";

const TOKEN = "a-token-of-the-desk";

test("all faults are reported together: missing, wrong and unknown settings", () => {
  const source = {
    FANFARE_REDIS_URL: "127.0.0.1",
    FANFARE_PARTITIONS: "0",
    FANFARE_QUOTES_SYMBOLS: "EUR/USD,no symbol",
    FANFARE_TYPO: "1",
    FANFARE_TEST_DATA: "/data",
  };
  const read = readSettings(DeskEnv, source, SETTING_NAMES);
  expect(read).toEqual({
    ok: false,
    faults: expect.arrayContaining([
      "FANFARE_REDIS_URL must be a URL starting with redis:// or rediss:// or redis-cluster://",
      "FANFARE_PARTITIONS must be at least 1",
      "FANFARE_QUOTES_SYMBOLS.1 must be a symbol, such as EUR/USD or R_100",
      "FANFARE_DESK_TOKEN is required",
      "FANFARE_TYPO is not a setting",
    ]),
  });
  expect(read.ok || read.faults).toHaveLength(5);
});

test("a setting of another role is not a fault, and is not passed on", () => {
  const source = { FANFARE_DESK_TOKEN: TOKEN, FANFARE_RECORDS_PORT: "1", PATH: "/bin" };
  const read = readSettings(DeskEnv, source, SETTING_NAMES);
  expect(read).toMatchObject({ ok: true, value: { FANFARE_DESK_PORT: 8791 } });
  expect(read.ok && Object.keys(read.value)).not.toContain("FANFARE_RECORDS_PORT");
});

test("a broker has a URL, or else it is the desk and needs a token", () => {
  const faults = (source: Record<string, string>): readonly string[] => {
    const read = readSettings(PlaceEnv, source, SETTING_NAMES);
    return read.ok ? [] : read.faults;
  };
  expect(faults({ FANFARE_BROKER_URL: "https://broker.example" })).toEqual([]);
  expect(faults({ FANFARE_DESK_TOKEN: TOKEN })).toEqual([]);
  // Together with other faults, not only alone.
  expect(faults({ FANFARE_PARTITIONS: "none" })).toEqual([
    "FANFARE_PARTITIONS must be a whole number",
    "FANFARE_DESK_TOKEN is required where FANFARE_BROKER_URL is not set",
  ]);
});

test("a MongoDB URI may have several hosts", () => {
  const source = { FANFARE_DESK_TOKEN: TOKEN, MONGODB_URI: "mongodb://u:p@a:1,b:2/fanfare" };
  expect(readSettings(DeskEnv, source, SETTING_NAMES)).toMatchObject({ ok: true });
});

test("a summary shows the hosts of URLs, and neither their passwords and keys nor any secret", () => {
  const settings = {
    FANFARE_REDIS_URL: "redis://user:canary@10.0.0.1:6379/2?key=canary",
    FANFARE_REGION_REDIS_URLS: { eu: "rediss://:canary@eu.example:6380" },
    MONGODB_URI: "mongodb://user:can@ry@a:1,b:2/fanfare?authSource=admin",
    FANFARE_BROKER_TOKEN: "canary",
    FANFARE_BROKER_RATE: undefined,
    FANFARE_QUOTES_SYMBOLS: ["EUR/USD", "R_100"],
    FANFARE_PARTITIONS: 4,
  };
  const schema = v.object({ ...PlaceEnv.entries, ...DeskEnv.entries });
  expect(summarizeSettings(schema, settings)).toEqual({
    FANFARE_REDIS_URL: "redis://10.0.0.1:6379",
    FANFARE_REGION_REDIS_URLS: { eu: "rediss://eu.example:6380" },
    MONGODB_URI: "mongodb://a:1,b:2",
    FANFARE_BROKER_TOKEN: "(secret)",
    FANFARE_QUOTES_SYMBOLS: ["EUR/USD", "R_100"],
    FANFARE_PARTITIONS: 4,
  });
});

import { expect, test } from "bun:test";
import { readSettings, summarizeSettings } from "./env.ts";

test("without settings everything has its default", () => {
  expect(readSettings({}, "/home/of/it")).toEqual({
    ok: true,
    value: {
      host: undefined,
      port: 8787,
      data: "/home/of/it/.data",
      durability: "everysec",
      mongodbUri: undefined,
      auditMongodbUri: undefined,
    },
  });
});

test("all faults are reported together, unknown names included", () => {
  const source = {
    HOST: "my-machine",
    PORT: "99999",
    FANFARE_DURABILITY: "maybe",
    FANFARE_DATE: "x",
    OTHER: "y",
  };
  expect(readSettings(source, "/")).toEqual({
    ok: false,
    faults: [
      "HOST must be an IP address of this machine, 127.0.0.1 for this machine alone, or 0.0.0.0 for all",
      "PORT must be a port number",
      "FANFARE_DURABILITY must be everysec or always",
      "FANFARE_DATE is not a setting of npm start",
    ],
  });
});

test.each([
  ["mongodb://user:p%40ss@one:1,two:2/fanfare?tls=true", "MongoDB at one:1,two:2"],
  ["mongodb+srv://user:pa@ss@cluster/", "MongoDB at cluster"],
])("the summary holds no password: %s", (MONGODB_URI, expected) => {
  const settings = readSettings({ MONGODB_URI }, "/");
  if (!settings.ok) throw new Error("valid settings were refused");
  expect(summarizeSettings(settings.value)).toEndWith(expected);
});

test("the summary shows where the edge listens, unless it is every address", () => {
  const settings = readSettings({ HOST: "192.0.2.2" }, "/");
  if (!settings.ok) throw new Error("valid settings were refused");
  expect(summarizeSettings(settings.value)).toStartWith("port 8787 at 192.0.2.2, ");
});

test("an audit with its own server is shown beside the records", () => {
  const settings = readSettings(
    { AUDIT_MONGODB_URI: "mongodb://a:b@audit:1,audit:2/?replicaSet=r" },
    "/",
  );
  if (!settings.ok) throw new Error("valid settings were refused");
  expect(summarizeSettings(settings.value)).toEndWith(
    "records in SQLite, audit in MongoDB at audit:1,audit:2",
  );
});

/** The common behaviour of every command. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { runCommand } from "../../tests/support/command.ts";

setDefaultTimeout(30_000);

const command = (env: Readonly<Record<string, string>>, ...words: string[]) =>
  runCommand(["workers/commands/main.ts", ...words], env);

const COMMANDS = [
  "control",
  "settings",
  "token",
  "roster:rebuild",
  "reconcile",
  "fairness",
  "desk:prove",
  "desk:restore",
  "desk:workload",
  "partitions",
  "seed",
];

test("--help lists every command, and for each its arguments and the meaning of its exit codes", async () => {
  const { code, out } = await command({}, "--help");
  expect(code).toBe(0);
  expect(out.match(/^ {2}\S+/gm)?.map((each) => each.trim())).toEqual(COMMANDS);
  for (const name of COMMANDS) {
    const help = await command({}, name, "--help");
    expect(help).toMatchObject({ code: 0, err: "" });
    expect(help.out).toStartWith(`Usage: npm run ${name} -- `);
    expect(help.out).toMatch(/\nExit codes:\n {2}0 {2}.+\n(?: {2}1 {2}.+\n)? {2}2 {2}.+\n$/);
  }
});

test("unknown arguments end a command with 2 and the usage, before anything is read or written", async () => {
  expect(await command({}, "stop")).toMatchObject({ code: 2, out: "" });
  for (const name of COMMANDS) {
    const { code, out, err } = await command({}, name, "--nonsense");
    expect([name, code, out]).toEqual([name, 2, ""]);
    expect(err).toStartWith("usage: ");
    expect(err).toContain("--nonsense");
  }
});

test("settings that cannot be read end a command with 2, all faults together", async () => {
  const env = { FANFARE_REDIS_URL: "nowhere", FANFARE_PARTITIONS: "0", FANFARE_TYPO: "1" };
  const { code, out, err } = await command(env, "roster:rebuild");
  expect([code, out]).toEqual([2, ""]);
  expect(err.split("\n").toSorted()).toEqual([
    "",
    "configuration: FANFARE_PARTITIONS must be at least 1",
    expect.stringContaining("configuration: FANFARE_REDIS_URL must be a URL"),
    "configuration: FANFARE_TYPO is not a setting",
  ]);
});

test("an error ends a command with its name, and never with its message", async () => {
  const env = { FANFARE_ISSUER_KEY: JSON.stringify({ kty: "OKP", crv: "canary", d: "canary" }) };
  const { code, out, err } = await command(env, "token", "me", "desk:trade");
  expect([code, out]).toEqual([1, ""]);
  expect(err).toMatch(/^the token could not be issued: \w+/);
  expect(err).not.toContain("canary");
});

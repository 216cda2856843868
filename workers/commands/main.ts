/**
 * `main.ts <command> [words]`: runs one command, once. `--help` explains its arguments and exit
 * codes. Errors go to standard error; wrong arguments and wrong settings end it with 2.
 */
import { own } from "../../domain/own.ts";
import { Command as Words, CommanderError } from "commander";
import { SYSTEM_CLOCK } from "../runtime/clock.ts";
import { openConnections, type OpenConnections } from "../runtime/connections.ts";
import { FormatDiffers } from "../runtime/format.ts";
import { readSettings, type SettingsSchema } from "../runtime/env.ts";
import { nameOf } from "../../http/place.ts";
import { configureLog } from "../runtime/log.ts";
import { connectRedis } from "../runtime/redis-client.ts";
import { SETTING_NAMES } from "../settings.ts";
import { answering } from "./answering.ts";
import { Failure, WordsError, type Command } from "./command.ts";

/** By their names in `npm run`. */
const COMMANDS: Record<string, () => Promise<{ command: Command<SettingsSchema, unknown> }>> = {
  control: () => import("./control/control.ts"),
  settings: () => import("./settings.ts"),
  token: () => import("./token.ts"),
  "roster:rebuild": () => import("./roster.ts"),
  reconcile: () => import("./reconcile.ts"),
  fairness: () => import("./fairness.ts"),
  "desk:prove": () => import("./prove.ts"),
  "desk:restore": () => import("./restore.ts"),
  "desk:workload": () => import("./workload/command.ts"),
  partitions: () => import("./partitions/command.ts"),
  seed: () => import("./seed/seed.ts"),
};

/** How long a command waits for each Redis to report its format. */
const COMPARE_MS = 1_000;

async function main(name: string, words: readonly string[]): Promise<number> {
  const load = own(COMMANDS, name);
  if (!load) {
    const isHelp = name === "--help" || name === "-h";
    const say = isHelp ? console.log : console.error;
    say("usage: main.ts <command> [words], where the command is one of");
    for (const [each, loadEach] of Object.entries(COMMANDS)) {
      say(`  ${each.padEnd(16)}${(await loadEach()).command.description}`);
    }
    return isHelp ? 0 : 2;
  }
  const { command } = await load();
  const asked = read(name, command, words);
  if (asked.kind === "ended") return asked.code;
  const settings = readSettings(command.settings, process.env, SETTING_NAMES);
  if (!settings.ok) {
    console.error(settings.faults.map((fault) => `configuration: ${fault}`).join("\n"));
    return 2;
  }
  const log = await configureLog(name);
  let connections: OpenConnections;
  try {
    connections = await openConnections(settings.value, {
      connect: (url, which) => answering(connectRedis(url), which),
      patienceMs: COMPARE_MS,
      isUncompared: command.isUncompared ?? false,
    });
  } catch (error) {
    if (!(error instanceof FormatDiffers)) throw error;
    console.error(`${command.failure.says}: ${error.message}`);
    return 2;
  }
  const context = { settings: settings.value, connections, clock: SYSTEM_CLOCK, log };
  try {
    return await command.run(context, asked.value);
  } catch (error) {
    // A library's message may contain an address with its password.
    const why = error instanceof Failure ? error.message : nameOf(error);
    console.error(`${command.failure.says}: ${why}`);
    return command.failure.exit;
  } finally {
    connections.close();
  }
}

type Read =
  | { readonly kind: "asked"; readonly value: unknown }
  | { readonly kind: "ended"; readonly code: number };

function read(
  name: string,
  command: Command<SettingsSchema, unknown>,
  words: readonly string[],
): Read {
  const exits = Object.entries(command.exits).map(([code, meaning]) => `  ${code}  ${meaning}`);
  const parser = command.declare(
    new Words(`npm run ${name} --`)
      .description(command.description)
      .exitOverride()
      .configureOutput({ writeErr: () => undefined })
      .addHelpText("after", `\nExit codes:\n${exits.join("\n")}`),
  );
  try {
    parser.parse([...words], { from: "user" });
    return { kind: "asked", value: command.read(parser) };
  } catch (error) {
    if (error instanceof WordsError) {
      console.error([error.message, command.usage].filter((text) => text !== "").join("\n"));
    } else if (error instanceof CommanderError) {
      if (error.code === "commander.helpDisplayed") return { kind: "ended", code: 0 };
      console.error(`${command.usage}\n${error.message}`);
    } else throw error;
    return { kind: "ended", code: 2 };
  }
}

process.exit(await main(process.argv[2] ?? "", process.argv.slice(3)));

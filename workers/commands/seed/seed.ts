/**
 * One-shot: creates the demo data in records, at the desk and in Redis. Running it again is
 * harmless.
 */
import { openRecords } from "../../records/open.ts";
import { checkRoster } from "../../copier/roster/check.ts";
import { targetsOf } from "../../copier/roster/projector.ts";
import type { Command } from "../command.ts";
import { fundAccounts, fundTrader } from "./deposits.ts";
import { SeedEnv } from "./env.ts";
import { seedHooks } from "./hooks.ts";
import { openDemoSecrets } from "./secrets.ts";
import { DEMO_CHANNEL, DEMO_FOLLOWERS, DEMO_PROVIDER, DEMO_TRADER, seedWorld } from "./world.ts";

export const command: Command<typeof SeedEnv, void> = {
  description: "creates the demo provider, channel, followers and day trader",
  usage: "usage: seed",
  exits: {
    0: "all of them exist",
    1: "they could not be created: run the command again",
    2: "the words or the settings cannot be read",
  },
  settings: SeedEnv,
  failure: { says: "the seed failed", exit: 1 },
  declare: (words) => words,
  read: () => undefined,
  async run({ settings, connections, clock, log }) {
    const secrets = openDemoSecrets(settings);
    // Funded before they have routes, so that they can pay for the first signal.
    const accounts = DEMO_FOLLOWERS.map(({ account }) => account);
    const desk = { url: settings.FANFARE_DESK_URL, token: settings.FANFARE_DESK_TOKEN };
    await fundAccounts(desk, accounts);
    await fundTrader(desk, DEMO_TRADER);
    const records = await openRecords(settings);
    try {
      await seedWorld(records, secrets, settings.FANFARE_REGION, clock.nowMs());
      const aim = { channel: DEMO_CHANNEL, sender: DEMO_PROVIDER };
      await seedHooks(records, aim, secrets.hookSecret, settings.FANFARE_SEAL_KEY);
      await checkRoster(records, targetsOf(connections));
      log.info("{followers} demo followers are ready", { followers: accounts.length });
      return 0;
    } finally {
      await records.close();
    }
  },
};

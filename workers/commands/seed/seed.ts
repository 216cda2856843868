/** One-shot: the demo world in records, at the desk and in Redis. Running it again is harmless. */
import { getLogger } from "@logtape/logtape";
import { required } from "../../runtime/env.ts";
import type { Role } from "../../runtime/role.ts";
import { openRecords } from "../../records/open.ts";
import { checkRoster } from "../../copier/roster/check.ts";
import { connectTargets } from "../../copier/roster/projector.ts";
import { fundAccounts, fundTrader } from "./deposits.ts";
import { seedHooks } from "./hooks.ts";
import { openDemoSecrets } from "./secrets.ts";
import { DEMO_CHANNEL, DEMO_FOLLOWERS, DEMO_PROVIDER, DEMO_TRADER, seedWorld } from "./world.ts";

export const role: Role = async (env, stop, ready) => {
  const sealKey = required(env, "FANFARE_SEAL_KEY");
  const token = required(env, "FANFARE_DESK_TOKEN");
  const secrets = openDemoSecrets(env);
  // Funded before they can be routed to, so that the first signal finds them able to pay.
  const accounts = DEMO_FOLLOWERS.map(({ account }) => account);
  const desk = { url: env.FANFARE_DESK_URL, token };
  await fundAccounts(desk, accounts, stop);
  await fundTrader(desk, DEMO_TRADER, stop);
  const records = await openRecords(env);
  await seedWorld(records, secrets, env.FANFARE_REGION, Date.now());
  const aim = { channel: DEMO_CHANNEL, sender: DEMO_PROVIDER };
  await seedHooks(records, aim, secrets.hookSecret, sealKey);
  const targets = connectTargets(env);
  await checkRoster(records, targets);
  getLogger(["fanfare", "seed"]).info("{followers} demo followers stand", {
    followers: accounts.length,
  });
  ready();
  targets.close();
  await records.close();
};

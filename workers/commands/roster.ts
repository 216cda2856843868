/** `npm run roster:rebuild`: compares the roster with the records, and projects what is missing. */
import * as v from "valibot";
import { openRecords } from "../records/open.ts";
import { fillAll } from "../copier/roster/fill.ts";
import { targetsOf } from "../copier/roster/projector.ts";
import { REDIS, REGIONS, STORE } from "../runtime/env.ts";
import type { Command } from "./command.ts";

const RosterEnv = v.object({ ...REDIS, ...REGIONS, ...STORE });

export const command: Command<typeof RosterEnv, void> = {
  description: "compares the roster in Redis with the records, and rebuilds what is missing",
  usage: "usage: npm run roster:rebuild",
  exits: {
    0: "the roster agrees with the records",
    1: "it could not be compared: run the command again",
    2: "the words or the settings cannot be read",
  },
  settings: RosterEnv,
  failure: { says: "the roster could not be rebuilt", exit: 1 },
  declare: (words) => words,
  read: () => undefined,
  async run({ settings, connections }) {
    const records = await openRecords(settings);
    try {
      if (await fillAll(records, targetsOf(connections))) return 0;
      console.error("another process fills this Redis at the moment");
      return 1;
    } finally {
      await records.close();
    }
  },
};

/**
 * `npm run fairness -- [--channel demo] [--signals 100] [--json FILE]`: shows how evenly the newest
 * signals of a channel were served, from the records.
 */
import * as v from "valibot";
import { openRecords } from "../records/open.ts";
import { reportOf, textOf } from "../copier/fairness/report.ts";
import { servicesOf, type Service } from "../copier/fairness/service.ts";
import { STORE } from "../runtime/env.ts";
import { WordsError, type Command } from "./command.ts";

/** How many followers are printed; the file has all. */
const SHOWN = 10;

interface Asked {
  readonly channel: string;
  readonly signals: number;
  readonly json: string | undefined;
}

const FairnessEnv = v.object({ ...STORE });

export const command: Command<typeof FairnessEnv, Asked> = {
  description: "shows how evenly the newest signals of a channel were served",
  usage: "usage: npm run fairness -- [--channel demo] [--signals 100] [--json FILE]",
  exits: {
    0: "the report is printed",
    2: "no signal of the channel was served, the records do not answer, or the words or the settings cannot be read",
  },
  settings: FairnessEnv,
  failure: { says: "the records do not answer", exit: 2 },
  declare: (words) =>
    words
      .option("--channel <id>", "the channel of the signals", "demo")
      .option("--signals <number>", "how many of the newest", "100")
      .option("--json <file>", "where the whole report is written, too"),
  read(words) {
    const { channel, signals, json } = words.opts<{
      channel: string;
      signals: string;
      json?: string;
    }>();
    if (!/^[1-9]\d{0,5}$/.test(signals)) throw new WordsError();
    return { channel, signals: Number(signals), json };
  },
  async run({ settings }, { channel, signals, json }) {
    const records = await openRecords(settings);
    const services: Service[] = [];
    try {
      for await (const each of servicesOf(records, channel, signals)) services.push(each);
    } finally {
      await records.close();
    }
    if (services.length === 0) {
      console.error(`no signal of the channel ${channel} was served yet`);
      return 2;
    }
    const report = reportOf(services);
    console.log(textOf(report, SHOWN));
    if (json !== undefined) await Bun.write(json, `${JSON.stringify(report, null, 2)}\n`);
    return 0;
  },
};

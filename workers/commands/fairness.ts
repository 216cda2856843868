/**
 * `npm run fairness -- [--channel demo] [--signals 100] [--json FILE]`: how
 * evenly the newest signals of a channel were served, from the records. Exits
 * with 0, or with 2 where there is nothing to tell.
 */
import { parseArgs } from "node:util";
import { readEnv } from "../runtime/env.ts";
import { openRecords } from "../records/open.ts";
import { reportOf, textOf } from "../copier/fairness/report.ts";
import { servicesOf, type Service } from "../copier/fairness/service.ts";

const USAGE = "usage: npm run fairness -- [--channel demo] [--signals 100] [--json FILE]";
/** Lines of followers; the file has all. */
const SHOWN = 10;

interface Asked {
  readonly channel: string;
  readonly signals: number;
  readonly json: string | undefined;
}

function askedOf(words: readonly string[]): Asked | undefined {
  const text = { type: "string" } as const;
  try {
    const options = { channel: text, signals: text, json: text };
    const { values } = parseArgs({ args: [...words], options });
    const { channel = "demo", signals = "100", json } = values;
    return /^[1-9]\d{0,5}$/.test(signals) ? { channel, signals: Number(signals), json } : undefined;
  } catch {
    return undefined;
  }
}

async function main(): Promise<number> {
  const asked = askedOf(process.argv.slice(2));
  if (!asked) {
    console.error(USAGE);
    return 2;
  }
  const env = readEnv(process.env);
  if (!env.ok) {
    console.error(env.faults.map((fault) => `configuration: ${fault}`).join("\n"));
    return 2;
  }
  try {
    const records = await openRecords(env.value);
    const services: Service[] = [];
    for await (const each of servicesOf(records, asked.channel, asked.signals)) services.push(each);
    await records.close();
    if (services.length === 0) {
      console.error(`no signal of the channel ${asked.channel} was served yet`);
      return 2;
    }
    const report = reportOf(services);
    console.log(textOf(report, SHOWN));
    if (asked.json !== undefined) {
      await Bun.write(asked.json, `${JSON.stringify(report, null, 2)}\n`);
    }
    return 0;
  } catch (error) {
    // A library's message may hold an address with its password.
    console.error(`the records do not answer: ${(error as Error).name}`);
    return 2;
  }
}

if (import.meta.main) process.exit(await main());

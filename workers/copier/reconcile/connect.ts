/** Opens everything that the reconciler reads, with the workers' configuration. */
import { connectBroker } from "../brokers/registry.ts";
import { connectDesk } from "../brokers/desk/desk.ts";
import type { Broker } from "../brokers/port.ts";
import { openRecords } from "../../records/open.ts";
import type { Context } from "../../runtime/role.ts";
import type { ReconcileSettings } from "./env.ts";
import type { Sources } from "./sources.ts";

/** The caller closes the records. */
export async function openSources({
  settings,
  connections,
  clock,
}: Pick<Context<ReconcileSettings>, "settings" | "connections" | "clock">): Promise<Sources> {
  const { redis: home, regions, partitions } = connections;
  const brokers = new Map(connectBrokers(settings).map((each) => [each.name, each]));
  return { home, regions, partitions, brokers, clock, records: await openRecords(settings) };
}

/** The broker of the workers, and the house's own desk if there is one. */
function connectBrokers(settings: ReconcileSettings): Broker[] {
  const { FANFARE_BROKER_URL: url, FANFARE_DESK_TOKEN: token } = settings;
  const hasDesk = url !== undefined && token !== undefined;
  return [
    connectBroker(settings),
    ...(hasDesk ? [connectDesk(settings.FANFARE_DESK_URL, token)] : []),
  ];
}

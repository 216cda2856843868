/** The broker that the configuration names. */
import { connectDesk } from "./desk/desk.ts";
import type { BrokerSettings } from "./env.ts";
import { connectHttp } from "./http/http.ts";
import { LEAST_CAPABLE, type Broker, type Capabilities } from "./port.ts";

export function connectBroker(settings: BrokerSettings): Broker {
  const { FANFARE_BROKER: name, FANFARE_BROKER_URL: url } = settings;
  // The schema requires a token if there is no URL.
  if (url === undefined) {
    return connectDesk(settings.FANFARE_DESK_URL, settings.FANFARE_DESK_TOKEN ?? "");
  }
  const told = Object.entries(settings.FANFARE_BROKER_CAPABILITIES ?? {});
  const capabilities = {
    ...LEAST_CAPABLE,
    ...Object.fromEntries(told.filter(([, value]) => value !== undefined)),
  } as Capabilities;
  return connectHttp({ name, url, token: settings.FANFARE_BROKER_TOKEN ?? "", capabilities });
}

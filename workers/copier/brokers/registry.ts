/** The broker that the configuration names. */
import { required, type WorkerEnv } from "../../runtime/env.ts";
import { connectDesk } from "./desk/desk.ts";
import { connectHttp } from "./http/http.ts";
import { LEAST_CAPABLE, type Broker, type Capabilities } from "./port.ts";

export function connectBroker(env: WorkerEnv): Broker {
  const { FANFARE_BROKER: name, FANFARE_BROKER_URL: url } = env;
  if (url === undefined) {
    return connectDesk(env.FANFARE_DESK_URL, required(env, "FANFARE_DESK_TOKEN"));
  }
  const told = Object.entries(env.FANFARE_BROKER_CAPABILITIES ?? {});
  const capabilities = {
    ...LEAST_CAPABLE,
    ...Object.fromEntries(told.filter(([, value]) => value !== undefined)),
  } as Capabilities;
  return connectHttp({ name, url, token: env.FANFARE_BROKER_TOKEN ?? "", capabilities });
}

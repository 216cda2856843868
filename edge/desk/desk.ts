/** The desk as the edge serves it: under people's own tokens, by any healthy desk server. */
import type { Edge, EdgeService } from "../edge.ts";
import type { Upgrade } from "../socket.ts";
import { serveDeskAccount } from "./account.ts";
import { serveDeskCommands } from "./commands.ts";
import { serveDeskSocket } from "./socket.ts";

export function serveDesk(service: EdgeService, edge: Edge, upgrade: Upgrade): void {
  serveDeskCommands(service, edge);
  serveDeskSocket(service, edge, upgrade);
  serveDeskAccount(service, edge);
}

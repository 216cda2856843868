/** The home worker: completes dispatches that an edge did not finish, and links the signal log's hash chain. */
import { HomeKeys } from "../../../redis/keys.ts";
import { GROUPS } from "../../../redis/streams.ts";
import { consume } from "../../runtime/consume.ts";
import type { Role } from "../../runtime/role.ts";
import { chain, signer } from "./chain.ts";
import { DispatchEnv } from "./env.ts";
import { redispatch } from "./redispatch.ts";

const CHAIN_GROUP = "chain";
/**
 * How far the chain may be behind. Each batch of a channel is linked in one script
 * and signed once.
 */
const GATHER_MS = 25;

export const role: Role<typeof DispatchEnv> = {
  settings: DispatchEnv,
  async run({ settings, connections, clock, metrics, stop, ready }) {
    const sign = await signer(settings.FANFARE_ISSUER_KEY);
    const { redis: home, regions, partitions } = connections;
    ready();
    await Promise.all(
      partitions.all().flatMap((partition) => [
        redispatch({ home, regions, partition, clock, stop }),
        consume({
          connect: () => connections.another(home),
          clock,
          redis: home,
          stream: new HomeKeys(partition).signals,
          group: CHAIN_GROUP,
          consumer: settings.FANFARE_CONSUMER,
          batch: 100,
          concurrency: 1,
          reclaimIdleMs: 10_000,
          gatherMs: GATHER_MS,
          trimBelow: GROUPS.signals,
          // A skipped number would break the proof of all that follow.
          mostFailures: Number.POSITIVE_INFINITY,
          handle: (entries) => chain(home, partition, sign, entries),
          count: metrics.entries("signals", CHAIN_GROUP),
          stop,
        }),
      ]),
    );
  },
};

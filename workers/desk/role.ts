/** A desk server: stateless in front of the desk's books, as many side by side as are wanted. */
import { PartitionMap } from "../../redis/keys.ts";
import { required } from "../env.ts";
import type { Role } from "../role.ts";
import { connectRedis } from "../redis-client.ts";
import { deskApp } from "./http.ts";

export const role: Role = async (env, stop, ready) => {
  const token = required(env, "FANFARE_DESK_TOKEN");
  const redis = connectRedis(env.FANFARE_REDIS_URL);
  const partitions = new PartitionMap(env.FANFARE_PARTITIONS);
  const server = Bun.serve({
    hostname: env.FANFARE_HOST,
    port: env.FANFARE_DESK_PORT,
    fetch: deskApp({ redis, partitions, token, stop }).fetch,
  });
  ready();
  await new Promise<void>((resolve) => {
    stop.addEventListener("abort", () => {
      resolve();
    });
  });
  await server.stop();
  redis.close();
};

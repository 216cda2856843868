/**
 * A route leads from a channel to one shard of its followers: region, broker,
 * region partition and shard, with the roster version at which the shard is
 * copied and how many followers it has at that version.
 */
import type { ChannelId } from "../domain/ids.ts";
import type { HomeKeys } from "./keys.ts";
import { asInteger, defineScript } from "./script.ts";

export interface Route {
  readonly region: string;
  readonly broker: string;
  readonly partition: number;
  readonly shard: number;
  readonly version: number;
  readonly count: number;
}

export function routeField(route: Omit<Route, "version" | "count">): string {
  return `${route.region}/${route.broker}/${route.partition}/${route.shard}`;
}

/** Reads one field of a routes hash; its count is 0 if the shard has no members any more. */
export function parseRoute(field: string, value: string): Route {
  const [region = "", broker = "", partition = "", shard = ""] = field.split("/");
  const [version = "", count = ""] = value.split(",");
  return {
    region,
    broker,
    partition: Number(partition),
    shard: Number(shard),
    version: Number(version),
    count: Number(count),
  };
}

/**
 * Reads the flat list (field, value, field, value, …) of a routes hash, except for empty shards.
 */
export function parseRoutes(flat: readonly string[]): Route[] {
  const routes: Route[] = [];
  for (let index = 0; index + 1 < flat.length; index += 2) {
    const route = parseRoute(flat[index] ?? "", flat[index + 1] ?? "");
    if (route.count > 0) routes.push(route);
  }
  return routes;
}

export interface RouteArgs {
  readonly home: HomeKeys;
  readonly channel: ChannelId;
  readonly routes: readonly Route[];
}

const routeLua = `
local changed = 0
for route, version, count in rows() do
  local known = redis.call('HGET', routes, route)
  local known_version = known and tonumber(string.match(known, '^(%d+),')) or -1
  if tonumber(version) > known_version then
    redis.call('HSET', routes, route, version .. ',' .. count)
    changed = changed + 1
  end
end
return changed
`;

/** Sets routes to newer roster versions; an older version never overwrites a newer one. */
export const route = defineScript<RouteArgs, number>({
  name: "route",
  lua: routeLua,
  keys: { routes: ({ home, channel }) => home.routes(channel) },
  rest: ({ routes }) => routes.flatMap((each) => [routeField(each), each.version, each.count]),
  columns: ["route", "version", "count"],
  reply: asInteger,
});

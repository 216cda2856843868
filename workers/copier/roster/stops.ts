/**
 * A halt is written to every partition of the home and of every region, and
 * each confirms it. Where one does not, the halt stands everywhere else, and
 * the same command again does what is left.
 */
import { HomeKeys, RegionKeys, type PartitionMap } from "../../../redis/keys.ts";
import {
  parseHalts,
  setHalt,
  type HaltAction,
  type HaltScope,
  type HaltState,
} from "../../copier/stored/halt.ts";
import { run, type Redis } from "../../runtime/redis.ts";

export interface Places {
  readonly home: Redis;
  readonly regions: ReadonlyMap<string, Redis>;
  readonly partitions: PartitionMap;
}

/** One copy of the halts. */
interface Place {
  readonly name: string;
  readonly redis: Redis;
  readonly key: string;
}

export interface Written {
  readonly places: number;
  readonly changed: number;
  /** What stands after it, where all agree. */
  readonly state: HaltState | undefined;
  /** Those that did not confirm in time. */
  readonly silent: readonly string[];
}

export interface Standing {
  readonly places: number;
  /** Scope → state → how many copies say so. */
  readonly scopes: ReadonlyMap<string, ReadonlyMap<HaltState, number>>;
  readonly silent: readonly string[];
}

/** The client waits for a Redis that is away for as long as it takes; whoever gives a command does not. */
const CONFIRM_MS = 3_000;

/** The regions first: that is where orders leave. */
function placesOf({ home, regions, partitions }: Places): Place[] {
  return [...regions, ["home", undefined] as const].flatMap(([name, region]) =>
    partitions.all().map((partition) => ({
      name: `${region ? `region ${name}` : name}, partition ${partition}`,
      redis: region ?? home,
      key: (region ? new RegionKeys(partition) : new HomeKeys(partition)).halts,
    })),
  );
}

export async function writeHalt(
  to: Places,
  scope: HaltScope,
  action: HaltAction,
): Promise<Written> {
  const places = placesOf(to);
  const { replies, silent } = await askEach(places, ({ redis, key }) =>
    run(redis, setHalt, { key, scope, action }),
  );
  return {
    places: places.length,
    changed: replies.filter(({ changed }) => changed).length,
    // A drain leaves a halt as it is, wherever one stands.
    state: replies.some(({ state }) => state === "halt") ? "halt" : replies[0]?.state,
    silent,
  };
}

export async function readHalts(of: Places): Promise<Standing> {
  const places = placesOf(of);
  const { replies, silent } = await askEach(places, async ({ redis, key }) =>
    parseHalts((await redis.send("HGETALL", [key])) as Record<string, string>),
  );
  const scopes = new Map<string, Map<HaltState, number>>();
  for (const [scope, state] of replies.flatMap((halts) => [...halts.scopes])) {
    const counts = scopes.get(scope) ?? new Map<HaltState, number>();
    scopes.set(scope, counts.set(state, (counts.get(state) ?? 0) + 1));
  }
  return { places: places.length, scopes, silent };
}

async function askEach<T>(
  places: readonly Place[],
  ask: (place: Place) => Promise<T>,
): Promise<{ replies: T[]; silent: string[] }> {
  const late = Symbol("late");
  const timer = Promise.withResolvers<typeof late>();
  const timeout = setTimeout(() => {
    timer.resolve(late);
  }, CONFIRM_MS);
  const answers = await Promise.all(
    // Whatever the reason, the place did not confirm.
    places.map((place) => Promise.race([ask(place).catch(() => late), timer.promise])),
  );
  clearTimeout(timeout);
  return {
    replies: answers.flatMap((answer) => (answer === late ? [] : [answer as T])),
    silent: places.filter((_, index) => answers[index] === late).map(({ name }) => name),
  };
}

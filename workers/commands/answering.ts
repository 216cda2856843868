/**
 * A connection waits for its Redis without limit. A person who runs a command does not want to wait
 * that long.
 */
import type { Redis } from "../runtime/redis.ts";
import { Failure } from "./command.ts";

const LIMIT_MS = 5_000;

/** The same Redis; a call fails once nothing has been answered for the limit, this call or any other. */
export function answering(redis: Redis, which: string, limitMs = LIMIT_MS): Redis {
  let answeredAtMs = 0;
  const silent = (): Failure => new Failure(`no answer from ${which} after ${limitMs / 1_000} s`);

  async function limited<T>(call: Promise<T>): Promise<T> {
    const calledAtMs = performance.now();
    const { promise: silence, reject } = Promise.withResolvers<never>();
    const check = (): void => {
      const leftMs = Math.max(calledAtMs, answeredAtMs) + limitMs - performance.now();
      if (leftMs > 0) timer = setTimeout(check, leftMs);
      else reject(silent());
    };
    let timer = setTimeout(check, limitMs);
    try {
      const reply = await Promise.race([call, silence]);
      answeredAtMs = performance.now();
      return reply;
    } catch (error) {
      // The client's own connection limit, which may expire first.
      const isTimeout = (error as NodeJS.ErrnoException).code === "ERR_REDIS_CONNECTION_TIMEOUT";
      throw isTimeout ? silent() : error;
    } finally {
      clearTimeout(timer);
    }
  }

  const { primaries } = redis;
  return {
    send: (command, args) => limited(redis.send(command, args)),
    ...(primaries === undefined
      ? {}
      : {
          primaries: async () =>
            (await limited(primaries())).map((node) => ({
              send: (command: string, args: string[]) => limited(node.send(command, args)),
            })),
        }),
    close: () => {
      redis.close();
    },
  };
}

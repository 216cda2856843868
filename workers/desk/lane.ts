/**
 * A partition's way into Redis: whatever is ready goes into one script call, in
 * order, and while that is under way the next one gathers. So a call holds the
 * more commands the busier the desk is, and none waits for a timer.
 */
import { executeCommands, MAX_COMMANDS, type ReadyCommand } from "../../redis/desk-execute.ts";
import type { DeskCall } from "../../redis/desk-state.ts";
import { run, type Redis } from "../redis-client.ts";

/** The text of `executeCommands`; undefined where Redis did not answer, so that nobody knows. */
export type Done = (reply: string | undefined) => void;

export interface LaneOptions extends DeskCall {
  readonly redis: Redis;
  readonly pendingValidMs: number;
}

export interface Lane {
  add(command: ReadyCommand, done: Done): void;
}

export function lane({ redis, pendingValidMs, ...call }: LaneOptions): Lane {
  let commands: ReadyCommand[] = [];
  let dones: Done[] = [];
  let busy = false;

  async function work(): Promise<void> {
    while (commands.length > 0) {
      const batch = commands.length <= MAX_COMMANDS ? commands : commands.slice(0, MAX_COMMANDS);
      const waiting = dones.slice(0, batch.length);
      commands = commands.slice(batch.length);
      dones = dones.slice(batch.length);
      let replies: readonly string[] | undefined;
      try {
        replies = await run(redis, executeCommands, { ...call, pendingValidMs, commands: batch });
      } catch {
        // Done or not: each sender is told that it is not known.
      }
      for (const [index, done] of waiting.entries()) done(replies?.[index]);
    }
    busy = false;
  }

  return {
    add(command, done) {
      commands.push(command);
      dones.push(done);
      if (busy) return;
      busy = true;
      // After what else this turn of the event loop brings.
      setImmediate(() => void work());
    },
  };
}

/**
 * Groups the commands of a partition. All commands that are ready are executed and
 * committed together, in order; during that time the next batch forms. So batches become
 * larger the busier the desk is, and no command waits for a timer.
 */
import { nameOf, placeOf } from "../../../http/place.ts";
import { getLogger } from "@logtape/logtape";
import type { DeskCall } from "../stored/transaction.ts";
import { AccountBook } from "../accounts/book.ts";
import {
  executeCommands,
  MAX_COMMANDS,
  type ReadyCommand,
  type Reply,
} from "../accounts/execute.ts";
import type { Redis } from "../../runtime/redis.ts";
import { isOutage } from "../../runtime/outage.ts";

/** The result of a command; undefined if Redis did not answer and the result is unknown. */
export type Done = (reply: Reply | undefined) => void;

export interface LaneOptions extends DeskCall {
  readonly redis: Redis;
  readonly pendingValidMs: number;
}

export interface Lane {
  add(command: ReadyCommand, done: Done): void;
}

const log = getLogger(["fanfare", "desk"]);

export function lane({ redis, pendingValidMs, ...call }: LaneOptions): Lane {
  const accounts = new AccountBook(redis, call);
  let commands: ReadyCommand[] = [];
  let dones: Done[] = [];
  let busy = false;

  async function work(): Promise<void> {
    while (commands.length > 0) {
      const batch = commands.length <= MAX_COMMANDS ? commands : commands.slice(0, MAX_COMMANDS);
      const waiting = dones.slice(0, batch.length);
      commands = commands.slice(batch.length);
      dones = dones.slice(batch.length);
      let replies: readonly Reply[] | undefined;
      try {
        replies = await executeCommands(accounts, batch, pendingValidMs);
      } catch (error) {
        // It may have been executed or not: each sender learns that the result is unknown.
        if (!isOutage(error)) {
          log.error("commands failed", { error: nameOf(error), at: placeOf(error) });
        }
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
      // After all other events of this round of the event loop.
      setImmediate(() => void work());
    },
  };
}

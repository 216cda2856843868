/**
 * Executes many desk commands at once: each is checked, executed, numbered and audited in
 * the given order, all in one atomic step.
 */
import { executeCommand } from "../../../domain/desk/rules.ts";
import type { DeskCommandName } from "../../../domain/desk/command.ts";
import type { DeskRefusal } from "../../../domain/desk/refusals.ts";
import { commandEvent, firedEvent, paidEvent, type PaidAnswer } from "../stored/audit.ts";
import type { AccountDraft } from "../stored/draft.ts";
import { DONE, membersOf, packReply, SUMMARY, unpackReply } from "../stored/reply.ts";
import { digestOf, nameWithoutSender, type LastCommand } from "../stored/session.ts";
import type { AccountBook, Desk, DeskEvent } from "./book.ts";

/** This many block Redis for a few milliseconds at most. */
export const MAX_COMMANDS = 512;

/** One command, ready to be executed; or a line that was already refused, to be audited. */
export interface ReadyCommand {
  /** For a refused line: what looked like a name, or nothing. */
  readonly name: DeskCommandName | (string & {});
  readonly user: string;
  readonly symbol: string;
  readonly cents: number;
  /** The quote at which it is executed; zeros if there is none. */
  readonly priceCents: number;
  readonly quoteTimeMs: number;
  /**
   * The name of the sender's session in the account (`stored/session.ts`), and the command's
   * number in it, if it must be executed once; otherwise empty and 0.
   */
  readonly session: string;
  readonly n: number;
  readonly more?: {
    readonly file?: string;
    readonly refusal?: DeskRefusal;
    /** The quote server's paid answer, if this command caused the question. */
    readonly paid?: PaidAnswer;
  };
}

const NOTHING: readonly number[] = [];

/** The result of a command. */
export interface Reply {
  readonly transaction: number;
  readonly refusal?: DeskRefusal;
  /** The members of the JSON reply, each after a comma. */
  readonly members: string;
}

/** Returns one reply for each command, in their order. Rejects if Redis fails. */
export async function executeCommands(
  accounts: AccountBook,
  commands: readonly ReadyCommand[],
  pendingValidMs: number,
): Promise<readonly Reply[]> {
  const users = commands.map(({ user }) => user);
  return await accounts.work(users, commands.length, (desk) => {
    const call = { desk, pendingValidMs, events: [] };
    return { result: commands.map((command) => once(call, command)), events: call.events };
  });
}

interface Call {
  readonly desk: Desk;
  readonly pendingValidMs: number;
  readonly events: DeskEvent[];
}

/** Executes a command, unless its session already has its number. */
function once(call: Call, command: ReadyCommand): Reply {
  const account = call.desk.account(command.user);
  const { session, n, more } = command;
  if (session === "" || command.user === "") {
    return execute(call, account, command, more?.refusal).reply;
  }
  const digest = digestOf(command);
  const last = account.lastCommand(session) ?? lastWithoutSender(account, session);
  if (last !== undefined) {
    if (n === last.n) return again(call, account, command, digest, last);
    if (n < last.n) return execute(call, account, command, "COMMAND_OVERTAKEN").reply;
  }
  const { reply, packed } = execute(call, account, command, more?.refusal);
  account.answer(session, { n, transaction: reply.transaction, packed, digest });
  return reply;
}

/** The session as an earlier version stored it: it did not separate senders, and had no digests. */
function lastWithoutSender(account: AccountDraft, session: string): LastCommand | undefined {
  const name = nameWithoutSender(session);
  const last = name === undefined ? undefined : account.lastCommand(name);
  return last?.digest === undefined ? last : undefined;
}

/**
 * The reply to a command that was executed or refused before. Another command with the
 * same number is refused.
 */
function again(
  call: Call,
  account: AccountDraft,
  command: ReadyCommand,
  digest: string,
  { transaction, packed, digest: lastDigest }: LastCommand,
): Reply {
  if (lastDigest !== undefined && lastDigest !== digest) {
    return execute(call, account, command, "COMMAND_NUMBER_REUSED").reply;
  }
  if (!packed.startsWith(DONE)) {
    return { transaction, refusal: packed as DeskRefusal, members: "" };
  }
  const isSummary = packed.startsWith(SUMMARY, DONE.length);
  return {
    transaction,
    members: isSummary
      ? summaryMembers(call, account)
      : membersOf(unpackReply(packed.slice(DONE.length))),
  };
}

interface Executed {
  readonly reply: Reply;
  /** The reply without its number, as it is stored. */
  readonly packed: string;
}

function execute(
  call: Call,
  account: AccountDraft,
  command: ReadyCommand,
  refusal: DeskRefusal | undefined,
): Executed {
  const { desk, pendingValidMs, events } = call;
  const { atMs } = desk;
  const { user, symbol, priceCents, more } = command;
  // A name that is no command's: the line was refused before this step.
  const name = command.name as DeskCommandName;
  const transaction = desk.nextTransaction();
  const done =
    refusal ?? executeCommand(account, name, command, { transaction, atMs, pendingValidMs });
  const isDone = typeof done !== "string";
  const movedCents = (isDone && done.movedCents) || NOTHING;
  events.push({
    account,
    text: commandEvent(transaction, command, isDone ? "" : done, movedCents),
  });
  if (more?.paid) events.push({ account, text: paidEvent(transaction, more.paid) });
  if (!isDone) return { reply: { transaction, refusal: done, members: "" }, packed: done };

  if (done.change) account.remember(transaction, name, done.change, atMs);
  if (done.fired) {
    const side = name === "SET_BUY_TRIGGER" ? "buy" : "sell";
    events.push({ account, text: firedEvent(side, { user, symbol, priceCents }, done.fired) });
    account.rememberFired(side, symbol, done.fired, atMs);
  }
  if (name === "DISPLAY_SUMMARY") {
    const members = summaryMembers(call, account);
    return { reply: { transaction, members }, packed: DONE + SUMMARY };
  }
  const answered = { told: done.told, balanceCents: account.balanceCents };
  return {
    reply: { transaction, members: membersOf(answered) },
    packed: DONE + packReply(answered),
  };
}

function summaryMembers({ desk, pendingValidMs }: Call, account: AccountDraft): string {
  const summary = account.summary({ atMs: desk.atMs, pendingValidMs });
  const { balanceCents } = account;
  return `,${JSON.stringify(summary).slice(1, -1)}${membersOf({ told: {}, balanceCents })}`;
}

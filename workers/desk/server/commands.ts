/**
 * Passes lines to the books, and replies to the senders. The commands of one user are
 * executed in the order in which they came. A user whose command waits for a quote delays
 * no other user. There is no state here that another server would need.
 */
import {
  type DeskLine,
  QUOTED_COMMANDS,
  parseDeskLine,
  spokenBy,
} from "../../../domain/desk/command.ts";
import { getLogger } from "@logtape/logtape";
import { DESK_REFUSALS, type DeskRefusal } from "../../../domain/desk/refusals.ts";
import type { AccountId } from "../../../domain/ids.ts";
import type { LineWork } from "../../../http/lines.ts";
import { nameOf, placeOf } from "../../../http/place.ts";
import type { PartitionMap } from "../../../redis/keys.ts";
import { MAX_COMMANDS, type ReadyCommand, type Reply } from "../accounts/execute.ts";
import type { Done, Lane } from "./lane.ts";
import type { UserLimits } from "./limits.ts";
import { sessionAt, type LineSender } from "./sender.ts";
import type { StockQuote, StockQuotes } from "./stock-quotes.ts";

const log = getLogger(["fanfare", "desk"]);

/** A reply line, without its newline. */
export type Answer = (reply: string) => void;

export interface DeskCommandsOptions {
  /** One for each partition. */
  readonly lanes: readonly Lane[];
  readonly partitions: PartitionMap;
  readonly quotes: StockQuotes;
  /** The label of every shown price. */
  readonly prices: "simulated" | "real";
  /**
   * Writes the log of a user, or of all users if it is empty, after the command is
   * committed. Returns the reason if it was not written.
   */
  readonly dump: (user: string, file: string) => Promise<DeskRefusal | undefined>;
  readonly limits: UserLimits;
}

export interface DeskCommands {
  /** `line` is not blank. */
  submit(line: string, sender: LineSender, answer: Answer): void;
}

const SHOWS_PRICES: ReadonlySet<string> = new Set(["QUOTE", "DISPLAY_SUMMARY"]);

type Refused = Extract<DeskLine, { kind: "refused" }>;
type Valid = Extract<DeskLine, { kind: "command" }>;

export function deskCommands({
  lanes,
  partitions,
  quotes,
  prices,
  dump,
  limits,
}: DeskCommandsOptions): DeskCommands {
  /** Users whose next command waits for a quote, and their later lines. */
  const delayed = new Map<string, (() => void)[]>();

  function submit(text: string, sender: LineSender, answer: Answer): void {
    const line = parseDeskLine(text);
    if (sender.name === "") take(line, sender, answer);
    else if (sender.user === "") take(withoutFile(line), sender, answer);
    else takeOfUser(withoutFile(spokenBy(sender.user, line)), sender, answer);
  }

  /** A user's lines are limited, and so are the refused lines that are audited. */
  function takeOfUser(line: DeskLine, sender: LineSender, answer: Answer): void {
    const { user } = sender;
    const isTaken = limits.allowsLine(user);
    const taken = isTaken ? line : refused(line, "LINES_TOO_MANY");
    if (taken.kind === "refused" && !limits.auditsRefusal(user)) {
      answer(refusal(taken.n, taken.code));
      return;
    }
    // A line that was not accepted may be sent again with its number.
    take(taken, isTaken ? sender : { ...sender, session: "", sessionOfOther: "" }, answer);
  }

  function take(line: DeskLine, sender: LineSender, answer: Answer): void {
    const user = line.kind === "command" ? line.command.user : line.read.user;
    const waiting = user === "" ? undefined : delayed.get(user);
    if (waiting) waiting.push(() => take(line, sender, answer));
    else if (line.kind === "refused") audit(line, sender, answer);
    else start(line, sender, answer);
  }

  function start(line: Valid, sender: LineSender, answer: Answer): void {
    const { name, user, symbol } = line.command;
    if (!QUOTED_COMMANDS.has(name)) {
      execute(line, sender, answer);
      return;
    }
    const known = quotes.known(symbol);
    if (known) {
      execute(line, sender, answer, known);
      return;
    }
    delayed.set(user, []);
    void quotes
      .fetch(symbol, user)
      // There is no quote, and the reply says so. The quotes log the cause.
      .catch(() => undefined)
      .then((quote) => {
        execute(line, sender, answer, quote);
        const waiting = delayed.get(user) ?? [];
        delayed.delete(user);
        for (const goOn of waiting) goOn();
      });
  }

  function execute(line: Valid, sender: LineSender, answer: Answer, quote?: StockQuote): void {
    const { n, command } = line;
    const { name, user, symbol, cents, file } = command;
    const ready: ReadyCommand = {
      name,
      user,
      symbol,
      cents,
      priceCents: quote?.priceCents ?? 0,
      quoteTimeMs: quote?.quoteTimeMs ?? 0,
      session: n === null ? "" : sessionAt(sender, user),
      n: n ?? 0,
      ...(file === "" && !quote?.paid
        ? {}
        : { more: { file, ...(quote?.paid ? { paid: quote.paid } : {}) } }),
    };
    if (name === "DUMPLOG") put(ready, (reply) => dumping(user, file, n, reply, answer));
    else {
      const shown = SHOWS_PRICES.has(name) ? `,"prices":"${prices}"` : "";
      put(ready, (reply) => answer(writeReply(n, reply, shown)));
    }
  }

  function audit({ n, code, read }: Refused, sender: LineSender, answer: Answer): void {
    const { name, user, symbol, cents, file } = read;
    const ready = { name, user, symbol, cents, priceCents: 0, quoteTimeMs: 0 };
    const once = { session: n === null ? "" : sessionAt(sender, user), n: n ?? 0 };
    put({ ...ready, ...once, more: { refusal: code, file } }, (reply) =>
      answer(writeReply(n, reply)),
    );
  }

  function put(ready: ReadyCommand, done: Done): void {
    lanes[partitions.ofAccount(ready.user as AccountId)]?.add(ready, done);
  }

  function dumping(
    user: string,
    file: string,
    n: number | null,
    reply: Reply | undefined,
    answer: Answer,
  ): void {
    if (!reply || reply.refusal) {
      answer(writeReply(n, reply));
      return;
    }
    void dump(user, file)
      .catch((error: unknown): DeskRefusal => {
        log.error("a log was not written", { error: nameOf(error), at: placeOf(error) });
        return "DUMP_FAILED";
      })
      .then((why) => answer(why ? refusal(n, why) : writeReply(n, reply, `,"file":"${file}"`)));
  }

  return { submit };
}

/**
 * Files are written only for a sender with the desk's token. All others get the log as a
 * stream.
 */
function withoutFile(line: DeskLine): DeskLine {
  return line.kind === "command" && line.command.name === "DUMPLOG"
    ? refused(line, "DUMP_FORBIDDEN")
    : line;
}

function refused(line: DeskLine, code: DeskRefusal): Refused {
  return {
    n: line.n,
    kind: "refused",
    code,
    read: line.kind === "command" ? line.command : line.read,
  };
}

/** A reply, as the sender reads it. `shown` is the rest of the reply to an executed command. */
function writeReply(n: number | null, reply: Reply | undefined, shown = ""): string {
  if (reply === undefined) return refusal(n, "OUTCOME_UNKNOWN");
  const { transaction, members } = reply;
  if (reply.refusal) return refusal(n, reply.refusal, transaction);
  return `{"n":${n},"transaction":${transaction},"ok":true${members}${shown}}`;
}

function refusal(n: number | null, code: DeskRefusal, transaction: number | null = null): string {
  return `{"n":${n},"transaction":${transaction},"ok":false,"code":"${code}","message":"${DESK_REFUSALS[code]}"}`;
}

/**
 * The commands of one connection as lines. A log of all users contains every command that
 * got its reply on it before.
 */
export function lineWork(
  commands: DeskCommands,
  sender: LineSender,
  bounds: Pick<LineWork, "maxOpen" | "order">,
): LineWork {
  return {
    ...bounds,
    chunkLines: MAX_COMMANDS,
    waitsForAll: (line) => line.includes("DUMPLOG"),
    take(lines, answer) {
      lines.forEach((line, index) => {
        commands.submit(line, sender, (reply) => answer(index, reply));
      });
      return undefined;
    },
    failed(error) {
      log.error("lines of a connection failed", { error: nameOf(error), at: placeOf(error) });
    },
  };
}

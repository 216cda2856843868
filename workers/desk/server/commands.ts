/**
 * Takes lines to the books and their replies back. Of one user commands are
 * done in the order they came; a user whose command waits for a quote holds up
 * nobody else. Nothing is kept here that another server would miss.
 */
import { getLogger } from "@logtape/logtape";
import { QUOTED_COMMANDS, type DeskLine } from "../../../domain/desk/command.ts";
import { DESK_REFUSALS, type DeskRefusal } from "../../../domain/desk/refusals.ts";
import type { AccountId } from "../../../domain/ids.ts";
import type { PartitionMap } from "../../../redis/keys.ts";
import type { ReadyCommand, Reply } from "../accounts/execute.ts";
import type { Done, Lane } from "./lane.ts";
import type { StockQuote, StockQuotes } from "./stock-quotes.ts";
import { nameOf } from "../../runtime/error-name.ts";

/** A reply line, without its newline. */
export type Answer = (reply: string) => void;

export interface DeskCommandsOptions {
  /** One a partition. */
  readonly lanes: readonly Lane[];
  readonly partitions: PartitionMap;
  readonly quotes: StockQuotes;
  /** Said with every price that is asked for. */
  readonly prices: "simulated" | "real";
  /** Writes the log of a user, or of all where it is empty, once the command is on the books. */
  readonly dump: (user: string, file: string) => Promise<boolean>;
}

export interface DeskCommands {
  /** `session` is empty where the sender named none. */
  submit(line: DeskLine, session: string, answer: Answer): void;
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
}: DeskCommandsOptions): DeskCommands {
  /** Users whose next command waits for a quote, and what came after it. */
  const held = new Map<string, (() => void)[]>();

  function submit(line: DeskLine, session: string, answer: Answer): void {
    const user = line.kind === "command" ? line.command.user : line.read.user;
    const waiting = user === "" ? undefined : held.get(user);
    if (waiting) waiting.push(() => submit(line, session, answer));
    else if (line.kind === "refused") audit(line, session, answer);
    else start(line, session, answer);
  }

  function start(line: Valid, session: string, answer: Answer): void {
    const { name, user, symbol } = line.command;
    if (!QUOTED_COMMANDS.has(name)) {
      execute(line, session, answer);
      return;
    }
    const known = quotes.known(symbol);
    if (known) {
      execute(line, session, answer, known);
      return;
    }
    held.set(user, []);
    void quotes
      .fetch(symbol, user)
      // No quote is to be had, which the command is told; the quotes log why.
      .catch(() => undefined)
      .then((quote) => {
        execute(line, session, answer, quote);
        const waiting = held.get(user) ?? [];
        held.delete(user);
        for (const goOn of waiting) goOn();
      });
  }

  function execute(line: Valid, session: string, answer: Answer, quote?: StockQuote): void {
    const { n, command } = line;
    const { name, user, symbol, cents, file } = command;
    const ready: ReadyCommand = {
      name,
      user,
      symbol,
      cents,
      priceCents: quote?.priceCents ?? 0,
      quoteTimeMs: quote?.quoteTimeMs ?? 0,
      session: n === null ? "" : session,
      n: n ?? 0,
      ...(file === "" && !quote?.paid
        ? {}
        : { more: { file, ...(quote?.paid ? { paid: quote.paid } : {}) } }),
    };
    if (name === "DUMPLOG") put(ready, (reply) => dumping(user, file, n, reply, answer));
    else {
      const shown = SHOWS_PRICES.has(name) ? `,"prices":"${prices}"` : "";
      put(ready, (reply) => answer(lineOf(n, reply, shown)));
    }
  }

  function audit({ n, code, read }: Refused, session: string, answer: Answer): void {
    const { name, user, symbol, cents, file } = read;
    const ready = { name, user, symbol, cents, priceCents: 0, quoteTimeMs: 0 };
    const once = { session: n === null ? "" : session, n: n ?? 0 };
    put({ ...ready, ...once, more: { refusal: code, file } }, (reply) => answer(lineOf(n, reply)));
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
      answer(lineOf(n, reply));
      return;
    }
    void dump(user, file)
      .catch((error: unknown) => {
        getLogger(["fanfare", "desk"]).warn("a log could not be written: {error}", {
          error: nameOf(error),
        });
        return false;
      })
      .then((written) =>
        answer(written ? lineOf(n, reply, `,"file":"${file}"`) : refusal(n, "DUMP_FAILED")),
      );
  }

  return { submit };
}

/** A reply as the sender reads it; `shown` is what is told beside it of a command that was done. */
function lineOf(n: number | null, reply: Reply | undefined, shown = ""): string {
  if (reply === undefined) return refusal(n, "OUTCOME_UNKNOWN");
  const { transaction, members } = reply;
  if (reply.refusal) return refusal(n, reply.refusal, transaction);
  return `{"n":${n},"transaction":${transaction},"ok":true${members}${shown}}`;
}

function refusal(n: number | null, code: DeskRefusal, transaction: number | null = null): string {
  return `{"n":${n},"transaction":${transaction},"ok":false,"code":"${code}","message":"${DESK_REFUSALS[code]}"}`;
}

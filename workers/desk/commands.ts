/**
 * Takes lines to the books and their replies back. Of one user commands are
 * done in the order they came; a user whose command waits for a quote holds up
 * nobody else. Nothing is kept here that another server would miss.
 */
import { QUOTED_COMMANDS, type DeskLine } from "../../domain/desk-command.ts";
import { DESK_REFUSALS, type DeskRefusal } from "../../domain/desk-refusals.ts";
import type { AccountId } from "../../domain/ids.ts";
import { DONE, expandReply } from "../../redis/desk-reply.ts";
import type { PartitionMap } from "../../redis/keys.ts";
import type { ReadyCommand } from "../accounts/execute.ts";
import type { Lane } from "./lane.ts";
import type { StockQuote, StockQuotes } from "./stock-quotes.ts";

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
    if (name === "DUMPLOG") put(ready, n, dumping(user, file, n, answer));
    else if (SHOWS_PRICES.has(name)) put(ready, n, (reply) => answer(labelled(reply)));
    else put(ready, n, answer);
  }

  function audit({ n, code, read }: Refused, session: string, answer: Answer): void {
    const { name, user, symbol, cents, file } = read;
    const ready = { name, user, symbol, cents, priceCents: 0, quoteTimeMs: 0 };
    const once = { session: n === null ? "" : session, n: n ?? 0 };
    put({ ...ready, ...once, more: { refusal: code, file } }, n, answer);
  }

  function put(ready: ReadyCommand, n: number | null, answer: Answer): void {
    const lane = lanes[partitions.ofAccount(ready.user as AccountId)];
    lane?.add(ready, (reply) => answer(lineOf(n, reply)));
  }

  function labelled(reply: string): string {
    return reply.includes('"ok":true') ? withMember(reply, "prices", prices) : reply;
  }

  function dumping(user: string, file: string, n: number | null, answer: Answer): Answer {
    return (reply) => {
      if (!reply.includes('"ok":true')) {
        answer(reply);
        return;
      }
      void dump(user, file)
        .catch(() => false)
        .then((written) =>
          answer(written ? withMember(reply, "file", file) : refusal(n, "DUMP_FAILED")),
        );
    };
  }

  return { submit };
}

/** The reply of `executeCommands` as the sender reads it. */
function lineOf(n: number | null, reply: string | undefined): string {
  if (reply === undefined) return refusal(n, "OUTCOME_UNKNOWN");
  const blank = reply.indexOf(" ");
  const transaction = reply.slice(0, blank);
  if (reply.charAt(blank + 1) !== DONE) {
    return refusal(n, reply.slice(blank + 1) as DeskRefusal, transaction);
  }
  const members = expandReply(reply.slice(blank + 2));
  const comma = members === "" ? "" : ",";
  return `{"n":${n},"transaction":${transaction},"ok":true${comma}${members}}`;
}

function refusal(n: number | null, code: DeskRefusal, transaction = "null"): string {
  return `{"n":${n},"transaction":${transaction},"ok":false,"code":"${code}","message":"${DESK_REFUSALS[code]}"}`;
}

function withMember(reply: string, name: string, value: string): string {
  return `${reply.slice(0, -1)},"${name}":"${value}"}`;
}

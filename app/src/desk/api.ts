/** The desk as the page uses it: what it reads, and commands with a number in a session of this tab, so that trying again does nothing twice. */
import type { DeskCommandName } from "../../../domain/desk/command.ts";
import type { DeskRefusal } from "../../../domain/desk/refusals.ts";
import type { DeskSummary } from "../../../domain/desk/summary.ts";
import type { Answer } from "../answer.ts";

export interface Summary extends DeskSummary {
  readonly user: string;
  readonly balanceCents: number;
  readonly prices: "simulated" | "real";
  /** The time at the desk when this was so. */
  readonly nowMs: number;
}

export interface DeskQuote {
  readonly symbol: string;
  readonly priceCents: number;
  readonly quoteTimeMs: number;
  readonly validUntilMs: number;
  readonly prices: "simulated" | "real";
}

export interface CommandReply {
  readonly ok: boolean;
  readonly code?: DeskRefusal;
  readonly message?: string;
  readonly symbol?: string;
  readonly shares?: number;
  readonly priceCents?: number;
  readonly totalCents?: number;
  /** Of a trigger that was met when it was set: the shares it traded. */
  readonly fired?: number;
}

export interface Command {
  readonly command: DeskCommandName;
  readonly symbol?: string;
  readonly amountCents?: number;
}

export interface DeskApi {
  summary(): Promise<Answer<Summary>>;
  quote(symbol: string): Promise<Answer<DeskQuote>>;
  /** `n` rises with each command of the session; the same is sent again to learn what became of it. */
  send(command: Command, session: string, n: number): Promise<Answer<CommandReply>>;
  log(): Promise<Answer<Blob>>;
}

/**
 * Commands of this tab, one after the other, each with the next number of its
 * session. One whose answer was lost is sent again with its number until the
 * desk has said what became of it: it is done once, however often it is sent.
 */
import type { Problem } from "../../../domain/error-codes.ts";
import type { Command, CommandReply, DeskApi } from "./api.ts";
import { randomId } from "../random-id.ts";

export type Outcome =
  | { readonly kind: "done"; readonly reply: CommandReply }
  /** Refused: nothing was changed, and why. */
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "problem"; readonly problem: Problem }
  /** Not known, though it was tried again; press again and it is asked again. */
  | { readonly kind: "unclear" };

const TRIES = 3;
const PAUSE_MS = 500;

export class DeskSession {
  readonly #desk: DeskApi;
  readonly #name = randomId();
  readonly #pauseMs: number;
  #n = 0;
  #unclear: Command | undefined;

  constructor(desk: DeskApi, pauseMs = PAUSE_MS) {
    this.#desk = desk;
    this.#pauseMs = pauseMs;
  }

  /** What is still to be asked about; nothing else is sent before. */
  get unclear(): Command | undefined {
    return this.#unclear;
  }

  async send(wanted: Command): Promise<Outcome> {
    const command = this.#unclear ?? wanted;
    if (!this.#unclear) this.#n += 1;
    this.#unclear = command;
    for (let tries = 1; ; tries += 1) {
      const answer = await this.#desk.send(command, this.#name, this.#n);
      if (answer.kind === "ok" && answer.value.code !== "OUTCOME_UNKNOWN") {
        this.#unclear = undefined;
        return answer.value.ok
          ? { kind: "done", reply: answer.value }
          : { kind: "refused", message: answer.value.message ?? "The desk refused it." };
      }
      if (answer.kind === "problem" && answer.problem.status < 500) {
        this.#unclear = undefined;
        return answer;
      }
      if (tries === TRIES) return { kind: "unclear" };
      await new Promise((resolve) => setTimeout(resolve, this.#pauseMs));
    }
  }
}

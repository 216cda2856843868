/**
 * Removes signals that every region has confirmed from the undispatched set. The signals of a few
 * milliseconds are removed in one request. A signal whose removal is lost stays listed. The home
 * worker waits far longer than this before it looks; it then dispatches the signal again and finds
 * every job already there.
 *
 * Each signal waits for its own time. Then it is sent, unless another request has sent it already.
 * Requests share only ids: on Cloudflare a request can neither wait for work that another request
 * began, nor rely on that request to continue.
 */
import type { SignalId } from "../domain/ids.ts";
import { HomeKeys } from "../redis/keys.ts";
import type { Store } from "./store.ts";

const GATHER_MS = 10;

export class Confirmations {
  readonly #home: Store;
  #waiting = new Set<SignalId>();

  constructor(home: Store) {
    this.#home = home;
  }

  async confirm(id: SignalId): Promise<void> {
    this.#waiting.add(id);
    await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
    if (!this.#waiting.has(id)) return;
    const ids = [...this.#waiting];
    this.#waiting = new Set();
    const bySet = Map.groupBy(ids, (each) => HomeKeys.ofSignal(each).undispatched);
    await this.#home.removeMembers([...bySet].map(([key, members]) => ({ key, members })));
  }
}

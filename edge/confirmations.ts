/**
 * What every region has confirmed leaves the undispatched: the signals of a
 * few milliseconds in one request. One that is lost on the way stays listed,
 * and the home worker, which waits far longer than this before it looks,
 * dispatches it again and finds every job in place.
 *
 * Each signal waits for its own time and is then sent by itself or was by
 * another. Nothing but ids passes between them: on Cloudflare a request can
 * neither wait for what another one has begun, nor rely on its living on.
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

/** The highest number of open calls of one account that the broker had at once. */
export class OpenCalls {
  readonly #open = new Map<string, number>();
  most = 0;

  async hold<T>(accounts: readonly string[], work: () => Promise<T>): Promise<T> {
    for (const account of accounts) {
      const count = (this.#open.get(account) ?? 0) + 1;
      this.#open.set(account, count);
      this.most = Math.max(this.most, count);
    }
    try {
      return await work();
    } finally {
      for (const account of accounts) this.#open.set(account, (this.#open.get(account) ?? 1) - 1);
    }
  }
}

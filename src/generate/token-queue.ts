// Tokens on their way from the scheduler to the one who reads them.

export class TokenQueue<T> {
  readonly #items: T[] = [];
  #ended = false;
  #error: { readonly reason: unknown } | undefined;
  #wake: (() => void) | undefined;

  push(item: T): void {
    this.#items.push(item);
    this.#wake?.();
  }

  /** No more will come. What is in the queue can still be read. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Reading rejects with `reason`: at once, or after what is in the queue has been read. */
  fail(reason: unknown, { atOnce }: { readonly atOnce: boolean }): void {
    this.#error = { reason };
    if (atOnce) this.#items.length = 0;
    this.#wake?.();
  }

  /** The next item; undefined after the end. For one reader at a time. */
  async take(): Promise<T | undefined> {
    for (;;) {
      if (this.#items.length > 0) return this.#items.shift();
      if (this.#error !== undefined) throw this.#error.reason;
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}

// What a grammar asks of sampling: which tokens may come next. Sampling applies the mask on the device; the grammar
// never sees logits, and sampling never sees a grammar.

export interface TokenConstraint {
  /**
   * Gets ready for `fill` without holding up the event loop; undefined when it is ready. Called at the start and after each
   * `accept`: the generation waits while others go on. Rejects when no mask can be made.
   */
  prepare?(): Promise<void> | undefined;
  /**
   * Writes which tokens may come next: bit `id & 31` of word `id >> 5`. False when every token may, and the mask was not
   * written. Called once before each sampled token.
   */
  fill(mask: Int32Array): boolean;
  /** Told the token that was sampled. */
  accept(id: number): void;
  /** Frees what the grammar holds; called once when the generation ends, however it ends. */
  dispose(): void;
}

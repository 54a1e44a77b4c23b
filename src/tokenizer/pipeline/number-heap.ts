// A binary heap of numbers, smallest first.

export class NumberHeap {
  readonly #values: number[] = [];

  get size(): number {
    return this.#values.length;
  }

  push(value: number): void {
    const values = this.#values;
    let at = values.length;
    values.push(value);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = values[parent] as number; // at a smaller index
      if (above <= value) break;
      values[at] = above;
      at = parent;
    }
    values[at] = value;
  }

  /** Takes the smallest; undefined when empty. */
  pop(): number | undefined {
    const values = this.#values;
    const first = values[0];
    const last = values.pop();
    if (first === undefined || last === undefined || values.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const left = values[child];
      if (left === undefined) break;
      const right = values[child + 1];
      let least = left;
      if (right !== undefined && right < left) {
        least = right;
        child++;
      }
      if (least >= last) break;
      values[at] = least;
      at = child;
    }
    values[at] = last;
    return first;
  }
}

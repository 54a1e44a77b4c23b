// The variable `loop` of a for loop.

import { equal } from './operators.ts';
import { Attributes, Callable, fail, Undefined, type Value } from './values.ts';

export class LoopState {
  /** Of the item at hand. */
  index = 0;
  readonly attributes: Attributes;
  #last: readonly Value[] | undefined;

  /** `again` runs the loop over other items; undefined when it is not recursive. */
  constructor(
    items: readonly Value[],
    depth: number,
    again: ((args: readonly Value[]) => Value) | undefined,
  ) {
    const whole = (value: number): bigint => BigInt(value);
    const fields: Readonly<Record<string, () => Value>> = {
      index: () => whole(this.index + 1),
      index0: () => whole(this.index),
      revindex: () => whole(items.length - this.index),
      revindex0: () => whole(items.length - this.index - 1),
      first: () => this.index === 0,
      last: () => this.index === items.length - 1,
      length: () => whole(items.length),
      depth: () => whole(depth + 1),
      depth0: () => whole(depth),
      previtem: () => items[this.index - 1] ?? new Undefined('there is no previous item'),
      nextitem: () => items[this.index + 1] ?? new Undefined('there is no next item'),
      cycle: () =>
        new Callable('cycle', (args) =>
          args.length === 0 ? fail('no items for cycling given') : (args[this.index % args.length] ?? null),
        ),
      changed: () => new Callable('changed', (args) => this.#changed(args)),
    };
    const notRecursive = (): Value =>
      fail("The loop must have the 'recursive' marker to be called recursively.");
    this.attributes = new Attributes(
      'LoopContext',
      (name) => (Object.hasOwn(fields, name) ? fields[name]?.() : undefined),
      {
        call: again ?? notRecursive,
      },
    );
  }

  #changed(args: readonly Value[]): boolean {
    const last = this.#last;
    this.#last = args;
    return !last || last.length !== args.length || args.some((each, i) => !equal(each, last[i] ?? null));
  }
}

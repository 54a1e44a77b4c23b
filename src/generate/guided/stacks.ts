// The stacks of one automaton: terms still to come, one object for equal ones.

import type { Live, Stack } from './live.ts';
import type { Term } from './term.ts';

export class Stacks {
  /** Below all others: the text may end. */
  readonly bottom: Stack = {
    id: 0,
    head: { kind: 'empty' },
    rest: undefined,
    above: undefined,
    near: undefined,
  };
  count = 1;

  push(rest: Stack, head: Term | Live): Stack {
    let stack = rest.above?.get(head);
    if (!stack) {
      stack = { id: this.count++, head, rest, above: undefined, near: undefined };
      rest.above ??= new Map();
      rest.above.set(head, stack);
    }
    return stack;
  }
}

// States with what is far away left out: a mask depends on no more than the longest token, so that counts further away than
// that have masks in common.

import type { GrammarState, Live, Stack } from './live.ts';
import type { Lives } from './lives.ts';
import type { Stacks } from './stacks.ts';
import { nearly, type Term } from './term.ts';

export class Near {
  readonly #stacks: Stacks;
  readonly #lives: Lives;
  readonly #intern: (items: Stack[], accepting: boolean) => GrammarState;
  readonly #near = new Map<number, Map<GrammarState, GrammarState>>();

  constructor(stacks: Stacks, lives: Lives, intern: (items: Stack[], accepting: boolean) => GrammarState) {
    this.#stacks = stacks;
    this.#lives = lives;
    this.#intern = intern;
  }

  /** A state that allows the same next `most` bytes; what is further away does not tell it from others. */
  of(state: GrammarState, most: number): GrammarState {
    let known = this.#near.get(most);
    if (!known) {
      known = new Map();
      this.#near.set(most, known);
    }
    let near = known.get(state);
    if (!near) {
      const items = new Set(state.items.map((item) => this.#nearStack(item, most)));
      const same = state.items.every((item) => items.has(item));
      near = same ? state : this.#intern([...items], state.accepting);
      known.set(state, near);
    }
    return near;
  }

  #nearStack(stack: Stack, most: number): Stack {
    const { head, rest } = stack;
    if (!rest) return stack;
    const known = stack.near?.get(most);
    if (known) return known;
    const below = this.#nearStack(rest, most);
    const near = this.#nearHead(head, most);
    const made = near === head && below === rest ? stack : this.#stacks.push(below, near);
    stack.near ??= new Map();
    stack.near.set(most, made);
    return made;
  }

  #nearHead(head: Term | Live, most: number): Term | Live {
    if (head.kind === 'repeat') return nearly(head, most);
    // How far the length reaches decides only whether some text is left, and `size` more characters are enough for that.
    if (head.kind === 'live-both' && head.size !== undefined && head.right.accepting) {
      return this.#lives.both(head.left, this.of(head.right, most + head.size), head.size);
    }
    return head;
  }
}

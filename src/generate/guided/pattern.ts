// Regular expressions as terms. What must hold between characters is said of all that comes before or after: both texts are
// languages too, and languages meet.

import { anyCodePoint, without } from './code-points.ts';
import { type Assertion, type Node, parse, unsupported, word } from './regex.ts';
import { alt, both, empty, never, not, nullable, type Ranges, repeat, seq, type Term } from './term.ts';

/** One character of a set, as the text around the pattern spells it. */
export type Spelling = (set: Ranges) => Term;

/** Texts that match from their first to their last character. */
export const wholeMatch = (pattern: string, spell: Spelling): Term =>
  new PatternReader(pattern, spell).read([parse(pattern)], empty);

/** Texts in which the pattern matches somewhere. */
export function anywhere(pattern: string, spell: Spelling): Term {
  return new PatternReader(pattern, spell).read([anything, parse(pattern), anything], empty);
}

const anyCharacter: Node = { kind: 'set', set: anyCodePoint };
const anything: Node = { kind: 'repeat', part: anyCharacter, min: 0, max: Number.POSITIVE_INFINITY };

/** Alternatives that one pattern may be split into, and characters it may have when its short repetitions are written out. */
const maxSplits = 2000;
const maxWrittenOut = 8;

class PatternReader {
  readonly #pattern: string;
  readonly #spell: Spelling;
  readonly #any: Term;
  #splits = 0;

  constructor(pattern: string, spell: Spelling) {
    this.#pattern = pattern;
    this.#spell = spell;
    this.#any = repeat(spell(anyCodePoint));
  }

  /**
   * Texts of `before` and then of all `nodes`; what is said of the text before holds for `before`. An `open` text has more
   * before it, which is not known here.
   */
  read(nodes: readonly Node[], before: Term, open = false): Term {
    if (++this.#splits > maxSplits) throw unsupported(this.#pattern, 'too many alternatives with conditions');
    let done = before;
    for (const [i, node] of nodes.entries()) {
      if (done.kind === 'never') return never;
      if (!hasAssertion(node)) {
        done = seq(done, this.#plain(node));
        continue;
      }
      const rest = nodes.slice(i + 1);
      if (node.kind === 'seq') return this.read([...node.parts, ...rest], done, open);
      else if (node.kind === 'alt')
        return alt(...node.options.map((o) => this.read([o, ...rest], done, open)));
      else if (node.kind === 'repeat') return this.#repeated(node, rest, done, open);
      else if (node.kind !== 'set') {
        const [first = node, ...others] = beginningFirst([node, ...rest]);
        return this.#assert(first as Assertion, others, done, open);
      }
    }
    return done;
  }

  #assert(node: Assertion, rest: readonly Node[], before: Term, open: boolean): Term {
    if (node.kind === 'anchor' && node.at === '$') return this.#ending(rest, before);
    if (node.kind === 'look' && !node.back) {
      const starts = this.read([node.node, anything], empty);
      return this.#meet(before, node.negated ? not(starts) : starts, rest, open);
    }
    // A boundary looks at one character, the others as far as they like.
    if (open && (node.kind !== 'boundary' || nullable(before))) {
      throw unsupported(this.#pattern, 'conditions that look in both directions');
    }
    if (node.kind === 'anchor') return nullable(before) ? this.read(rest, empty) : never;
    if (node.kind === 'boundary') return this.#boundary(node.negated, rest, before, open);
    const ends = this.read([anything, node.node], empty);
    return this.read(rest, meet(before, node.negated ? not(ends) : ends));
  }

  /** `before`, and then a text of both. */
  #meet(before: Term, ahead: Term, rest: readonly Node[], open: boolean): Term {
    return seq(before, both(ahead, this.read(rest, empty, open || before.kind !== 'empty')));
  }

  /** Nothing may come but what matches the empty text. */
  #ending(rest: readonly Node[], before: Term): Term {
    const after = rest.filter((node) => !(node.kind === 'anchor' && node.at === '$'));
    if (after.some(hasAssertion)) {
      const left = this.read(after, before.kind === 'empty' ? empty : this.#any);
      return nullable(left) ? before : never;
    }
    return after.every((node) => nullable(this.#plain(node))) ? before : never;
  }

  /** A word ends or begins here, or, negated, does not. */
  #boundary(negated: boolean, rest: readonly Node[], before: Term, open: boolean): Term {
    const letter = this.#spell(word);
    const other = this.#spell(without(anyCodePoint, word));
    const inWord = [seq(this.#any, letter), seq(letter, this.#any)] as const;
    const outside = [alt(empty, seq(this.#any, other)), alt(empty, seq(other, this.#any))] as const;
    const sides = (left: readonly Term[], right: readonly Term[]): Term => {
      const start = meet(before, left[0] ?? never);
      return start.kind === 'never' ? never : this.#meet(start, right[1] ?? never, rest, open);
    };
    return negated
      ? alt(sides(inWord, inWord), sides(outside, outside))
      : alt(sides(inWord, outside), sides(outside, inWord));
  }

  /** A repetition of what has conditions: few times written out, or a condition on each character of the rest. */
  #repeated(node: Node & { kind: 'repeat' }, rest: readonly Node[], before: Term, open: boolean): Term {
    const { part, min, max } = node;
    if (max <= maxWrittenOut) {
      const times = (n: number): Node[] => Array.from({ length: n }, () => part);
      const counts = Array.from({ length: max - min + 1 }, (_, i) => min + i);
      return alt(...counts.map((n) => this.read([...times(n), ...rest], before, open)));
    }
    const parts = part.kind === 'seq' ? part.parts : [part];
    const [first, ...others] = parts;
    const isLook = first?.kind === 'look' && !first.back && first.negated && !others.some(hasAssertion);
    const [next, ...beyond] = rest;
    const endsHere =
      next?.kind === 'anchor' && next.at === '$' && this.#ending(beyond, empty).kind === 'empty';
    const one: Node = { kind: 'seq', parts: others };
    if (!isLook || !endsHere || !isCharacter(one) || min > 1) {
      throw unsupported(this.#pattern, 'a condition in a repetition');
    }
    // No text of `first` begins at any of the characters.
    const starts = this.read([anything, first.node, anything], empty);
    const free = both(not(starts), this.#plain({ ...node, part: one }));
    return seq(before, nullable(this.read([first.node, anything], empty)) ? never : free);
  }

  #plain(node: Node): Term {
    switch (node.kind) {
      case 'set':
        return this.#spell(node.set);
      case 'seq':
        return seq(...node.parts.map((part) => this.#plain(part)));
      case 'alt':
        return alt(...node.options.map((option) => this.#plain(option)));
      case 'repeat':
        return repeat(this.#plain(node.part), node.min, node.max);
      default:
        return empty;
    }
  }
}

/** What holds at one place holds in any order: that nothing comes before is best known first. */
function beginningFirst(nodes: readonly Node[]): readonly Node[] {
  const end = nodes.findIndex(({ kind }) => kind !== 'anchor' && kind !== 'boundary' && kind !== 'look');
  const at = nodes.findIndex((node) => node.kind === 'anchor' && node.at === '^');
  if (at < 0 || (end >= 0 && at > end)) return nodes;
  return [...nodes.slice(at, at + 1), ...nodes.slice(0, at), ...nodes.slice(at + 1)];
}

function hasAssertion(node: Node): boolean {
  switch (node.kind) {
    case 'set':
      return false;
    case 'seq':
      return node.parts.some(hasAssertion);
    case 'alt':
      return node.options.some(hasAssertion);
    case 'repeat':
      return node.max > 0 && hasAssertion(node.part);
    default:
      return true;
  }
}

/** Both; what only the empty text can be is that or nothing at once. */
function meet(left: Term, right: Term): Term {
  if (left.kind !== 'empty') return both(left, right);
  return nullable(right) ? empty : never;
}

const isCharacter = (node: Node): boolean =>
  node.kind === 'set' ||
  (node.kind === 'seq' && node.parts.length === 1 && node.parts.every(isCharacter)) ||
  (node.kind === 'alt' && node.options.every(isCharacter));

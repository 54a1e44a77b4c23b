// The members of an object, in any order: each named property at most once, which of them must or may not be there together,
// and others between them. What has been written is part of where a text is, so places are made when a text reaches them.
// Several ways to be valid are followed as one, with a note of those that are still open: apart, each would be followed with
// all its names.

import { colon, comma } from './json-text.ts';
import { type MemberPlace, type MemberRules, Membership, noMembers, withMember } from './member-rules.ts';
import { each, eachMade, type Patience, type Work } from './patience.ts';
import { alt, empty, type Lazy, type Shared, seq, type Term } from './term.ts';
import { isTexts, Texts } from './texts.ts';

export interface Members {
  readonly names: readonly string[];
  /** The members are as one of these says. */
  readonly ways: readonly MemberRules[];
}

/** Texts of the members, with commas between. Yields where the patience is over. */
export function* membersText({ names, ways }: Members, patience: Patience): Work<Term> {
  const memberships: Membership[] = [];
  for (const rules of ways) memberships.push(yield* Membership.of(rules, patience));
  const quoted = yield* eachMade(names, patience, (name) => JSON.stringify(name));
  const places = new MemberPlaces(memberships, yield* Texts.sorted(quoted, patience));
  return yield* places.start(patience);
}

/** Ways that ask for different values of one member: from so many on their texts are followed as one set. */
const manyValues = 8;
/** Texts of one value that are taken into such a set. */
const mostTexts = 300;

const utf8 = new TextDecoder();
const decoded = (bytes: string): string => utf8.decode(Uint8Array.from(bytes, (c) => c.charCodeAt(0)));

/** The texts of a value that is one of some given, a byte in each character; undefined of others. */
function textsOf(value: Term): readonly string[] | undefined {
  let term = value;
  for (let depth = 0; term.kind === 'rule' && depth < 8; depth++) term = term.rule.term;
  if (term.kind === 'machine') {
    const { start } = term;
    return isTexts(start) && start.texts.size <= mostTexts ? start.texts.from(start.place) : undefined;
  }
  let text = '';
  for (; term.kind === 'seq'; term = term.second) {
    const byte = onlyByte(term.first);
    if (byte === undefined) return undefined;
    text += String.fromCharCode(byte);
  }
  const last = onlyByte(term);
  return last === undefined ? undefined : [text + String.fromCharCode(last)];
}

function onlyByte(term: Term): number | undefined {
  const [range, more] = term.kind === 'bytes' ? term.ranges : [];
  return range && !more && range[0] === range[1] ? range[0] : undefined;
}

interface Place extends MemberPlace {
  /** Ways that are still open, by their number. */
  readonly open: readonly number[];
  /** Keys of members without a name, where equal ones would not count twice. */
  readonly keys: readonly string[];
}

class MemberPlaces {
  readonly #ways: readonly Membership[];
  readonly #texts: Texts;
  readonly #places = new Map<string, Lazy>();
  /** Members without a name are counted up to here. */
  readonly #count: number;
  /** Their keys are remembered, so that a count means different ones. */
  readonly #keepsKeys: boolean;

  constructor(ways: readonly Membership[], texts: Texts) {
    this.#ways = ways;
    this.#texts = texts;
    this.#count = Math.max(...this.#ways.map(({ count }) => count));
    this.#keepsKeys = this.#ways.some(({ keepsKeys }) => keepsKeys);
  }

  *start(patience: Patience): Work<Term> {
    const parts = new Set<Term>();
    for (const { rules } of this.#ways) {
      yield* each(rules.values, patience, (value) => parts.add(value));
      yield* each(rules.further, patience, ({ key, value }) => parts.add(key).add(value));
    }
    // The names, for the bytes that they are made of.
    const names: Term = { kind: 'branch', texts: this.#texts, allowed: () => true, after: () => empty };
    return {
      ...this.#at({ ...noMembers, open: [...this.#ways.keys()], keys: [] }),
      parts: [...parts.add(comma).add(colon).add(names)],
      fertile: (isBarren) => this.#ways.map((way) => way.learn(isBarren)).includes(true),
    };
  }

  #at(place: Place): Lazy {
    const keys = place.keys.map((key) => JSON.stringify(key)).join();
    const key = `${place.open.join('.')},${place.seen.toString(36)},${place.further},${keys}`;
    let made = this.#places.get(key);
    if (!made) {
      let term: Term | undefined;
      made = {
        kind: 'lazy',
        name: 'members',
        parts: [],
        fertile: () => true,
        make: () => {
          term ??= this.#text(place);
          return term;
        },
      };
      this.#places.set(key, made);
    }
    return made;
  }

  #openOf(
    { open, seen, further }: Place,
    isOpen: (way: Membership, place: MemberPlace) => boolean,
  ): number[] {
    return open.filter((i) => {
      const way = this.#ways[i];
      return way !== undefined && isOpen(way, { seen, further: Math.min(further, way.count) });
    });
  }

  #text(place: Place): Term {
    const options: Term[] = this.#openOf(place, (way, at) => way.mayEnd(at)).length > 0 ? [empty] : [];
    const separator = place.seen === 0n && place.further === 0 ? empty : comma;
    const known: (readonly number[] | undefined)[] = [];
    const adding = (i: number): readonly number[] => {
      known[i] ??= this.#openOf(place, (way, at) => way.mayAdd(at, i));
      return known[i];
    };
    const mayAdd = (i: number): boolean => adding(i).length > 0;
    if (this.#texts.some(this.#texts.start, mayAdd)) {
      const after = (i: number): Term => this.#member(place, i, adding(i));
      options.push(seq(separator, { kind: 'branch', texts: this.#texts, allowed: mayAdd, after }));
    }
    const going = this.#openOf(place, (way, at) => way.mayAddFurther(at));
    for (const { key, value, open } of this.#furtherOf(going)) {
      options.push(seq(separator, this.#further({ ...place, open }, key, value)));
    }
    return alt(...options);
  }

  /** What follows the name of a member: each value that some of the ways ask for, and then those ways. */
  #member(place: Place, i: number, ways: readonly number[]): Term {
    const byValue = new Map<Term, number[]>();
    for (const way of ways) {
      const value = this.#ways[way]?.rules.values[i];
      if (value) byValue.set(value, [...(byValue.get(value) ?? []), way]);
    }
    const next = withMember(place, i);
    const after = (open: readonly number[]): Term => this.#at({ ...place, ...next, open });
    if (byValue.size < manyValues) {
      return alt(...[...byValue].map(([value, open]) => seq(colon, value, after(open))));
    }
    const byText = new Map<string, number[]>();
    const options: Term[] = [];
    for (const [value, open] of byValue) {
      const texts = textsOf(value);
      if (!texts) options.push(seq(value, after(open)));
      for (const text of texts ?? []) byText.set(text, [...(byText.get(text) ?? []), ...open]);
    }
    const opens = [...byText.values()];
    const texts = Texts.of([...byText.keys()].map(decoded));
    if (opens.length > 0) {
      options.push({ kind: 'branch', texts, allowed: () => true, after: (at) => after(opens[at] ?? []) });
    }
    return seq(colon, alt(...options));
  }

  /** The members without a name that some of the ways allow, with those ways. */
  #furtherOf(ways: readonly number[]): readonly { key: Shared; value: Term; open: readonly number[] }[] {
    const byKey = new Map<Shared, Map<Term, number[]>>();
    for (const way of ways) {
      for (const { key, value } of this.#ways[way]?.further ?? []) {
        const byValue = byKey.get(key) ?? new Map<Term, number[]>();
        byKey.set(key, byValue.set(value, [...(byValue.get(value) ?? []), way]));
      }
    }
    return [...byKey].flatMap(([key, byValue]) =>
      [...byValue].map(([value, open]) => ({ key, value, open })),
    );
  }

  #further(place: Place, key: Shared, value: Term): Term {
    const isCounted = this.#keepsKeys && place.further < this.#count;
    if (!isCounted) {
      const next = seq(colon, value, this.#at(this.#withFurther(place)));
      const named: Term = this.#texts.size > 0 ? { kind: 'except', part: key, texts: this.#texts } : key;
      return seq(named, next);
    }
    const isTaken = (text: string): boolean => place.keys.includes(text) || this.#isName(text);
    return {
      kind: 'recorded',
      part: key,
      allowed: (text) => !isTaken(text),
      after: (text) => seq(colon, value, this.#at(this.#withFurther(place, text))),
      next: seq(colon, value, this.#at(this.#withFurther(place, '"'))),
    };
  }

  #isName(text: string): boolean {
    let at = this.#texts.start;
    for (let i = 0; i < text.length; i++) {
      const next = this.#texts.step(at, text.charCodeAt(i));
      if (!next) return false;
      at = next;
    }
    return this.#texts.endOf(at) !== undefined;
  }

  #withFurther(place: Place, key?: string): Place {
    const further = Math.min(place.further + 1, this.#count);
    return {
      ...place,
      further,
      keys: key === undefined || further === this.#count ? [] : [...place.keys, key],
    };
  }
}

// The members of an object, in any order: each named property at most once, which of them must or may not be there together,
// and others between them. What has been written is part of where a text is, so places are made when a text reaches them.

import { colon, comma } from './json-text.ts';
import { alt, empty, type Lazy, never, type Shared, seq, type Term } from './term.ts';
import { Texts } from './texts.ts';

/** One holds: a member is there, or is not; `further` stands for members that have no name here. */
export type MemberClause = readonly { readonly member: number | 'further'; readonly there: boolean }[];

export interface Members {
  readonly names: readonly string[];
  /** By name; `never` for a property that may not be there. */
  readonly values: readonly Term[];
  /** Members without a name here: texts of their keys, with quotes, which `names` are not among, and their values. */
  readonly further: readonly { readonly key: Shared; readonly value: Term }[];
  readonly clauses: readonly MemberClause[];
  readonly min: number;
  readonly max: number;
}

/** Texts of the members, with commas between. */
export const membersText = (members: Members): Term => new MemberPlaces(members).start;

interface Place {
  /** Bit `i`: member `i` is written. */
  readonly seen: bigint;
  /** Members without a name that are written, as far as they count. */
  readonly further: number;
  /** Their keys, where equal ones would not count twice. */
  readonly keys: readonly string[];
}

/** Steps of one search for members that may still be added. */
const maxSearch = 2000;

class MemberPlaces {
  readonly #members: Members;
  readonly #texts: Texts;
  readonly #places = new Map<string, Lazy>();
  readonly #feasible = new Map<string, boolean>();
  readonly #bits: readonly bigint[];
  /** Members that must be there, and those that cannot be. */
  readonly #required: bigint;
  readonly #forbidden: bigint;
  #impossible: bigint;
  readonly #needed: readonly Term[];
  /** What is said beyond that. */
  readonly #clauses: readonly MemberClause[];
  #hasFurther = false;
  /** A member more never hurts: there is no limit, and nothing must be absent because of another. */
  readonly #isOpen: boolean;
  /** Members without a name are counted up to here. */
  readonly #count: number;
  /** Their keys are remembered, so that a count means different ones. */
  readonly #keepsKeys: boolean;

  constructor(members: Members) {
    const { names, values, clauses, min, max } = members;
    this.#members = members;
    this.#texts = new Texts(names.map((name) => JSON.stringify(name)));
    this.#bits = names.map((_, i) => 1n << BigInt(i));
    const alone = (there: boolean): bigint =>
      this.#union(
        clauses.flatMap(([only, more]) => (only && !more && only.there === there ? [only.member] : [])),
      );
    this.#required = alone(true);
    this.#forbidden = alone(false) | this.#union(values.flatMap((v, i) => (v.kind === 'never' ? [i] : [])));
    this.#impossible = this.#forbidden;
    this.#clauses = clauses.filter(([only, more]) => more !== undefined || only?.member === 'further');
    this.#needed = values.filter((_, i) => (this.#required & this.#bit(i)) !== 0n);
    this.#isOpen =
      max === Number.POSITIVE_INFINITY && this.#clauses.every((c) => c.every(({ there }) => there));
    this.#count = Math.max(1, max === Number.POSITIVE_INFINITY ? min : max);
    this.#keepsKeys = min > 1;
  }

  get start(): Term {
    const { values, further } = this.#members;
    const parts = [
      ...values,
      ...further.flatMap((each) => [each.key, each.value]),
      comma,
      colon,
      this.#names,
    ];
    return { ...this.#at(nothing), parts, fertile: (isBarren) => this.#learn(isBarren) };
  }

  #at(place: Place): Lazy {
    const keys = place.keys.map((key) => JSON.stringify(key)).join();
    const key = `${place.seen.toString(36)},${place.further},${keys}`;
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

  /** The names, for the bytes that they are made of. */
  get #names(): Term {
    return { kind: 'branch', texts: this.#texts, allowed: () => true, after: () => empty };
  }

  #learn(isBarren: (part: Term) => boolean): boolean {
    const { values, further } = this.#members;
    // Asked again and again until those that must be there have texts.
    if (this.#needed.some((value) => isBarren(value))) return false;
    this.#impossible =
      this.#forbidden | this.#union(values.flatMap((value, i) => (isBarren(value) ? [i] : [])));
    this.#hasFurther = further.some(({ key, value }) => !isBarren(key) && !isBarren(value));
    this.#feasible.clear();
    return this.#isFeasible(nothing);
  }

  #union(members: readonly (number | 'further')[]): bigint {
    return members.reduce<bigint>((all, i) => (i === 'further' ? all : all | this.#bit(i)), 0n);
  }

  #bit(i: number): bigint {
    return this.#bits[i] ?? 0n;
  }

  #with(place: Place, i: number): Place {
    return { ...place, seen: place.seen | this.#bit(i) };
  }

  #text(place: Place): Term {
    const { names, values, further, max } = this.#members;
    const isFirst = place.seen === 0n && place.further === 0;
    const options: Term[] = this.#mayEnd(place) ? [empty] : [];
    const separator = isFirst ? empty : comma;
    const known: (boolean | undefined)[] = [];
    const mayAdd = (i: number): boolean => {
      known[i] ??=
        ((place.seen | this.#impossible) & this.#bit(i)) === 0n && this.#isFeasible(this.#with(place, i));
      return known[i];
    };
    if (max === Number.POSITIVE_INFINITY || countOf(place) < max) {
      if (names.some((_, i) => mayAdd(i))) {
        const after = (i: number): Term => seq(colon, values[i] ?? never, this.#at(this.#with(place, i)));
        options.push(seq(separator, { kind: 'branch', texts: this.#texts, allowed: mayAdd, after }));
      }
      if (this.#hasFurther && this.#isFeasible(this.#withFurther(place))) {
        for (const { key, value } of further) options.push(seq(separator, this.#further(place, key, value)));
      }
    }
    return alt(...options);
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

  #holds(clause: MemberClause, place: Place): boolean {
    return clause.some(({ member, there }) =>
      member === 'further' ? place.further > 0 : ((place.seen & this.#bit(member)) !== 0n) === there,
    );
  }

  #mayEnd(place: Place): boolean {
    return (
      (place.seen & this.#required) === this.#required &&
      this.#isWithin(place) &&
      this.#clauses.every((clause) => this.#holds(clause, place))
    );
  }

  #isWithin(place: Place): boolean {
    const { min, max } = this.#members;
    if (min === 0 && max === Number.POSITIVE_INFINITY) return true;
    const count = countOf(place);
    return count >= min && count <= max;
  }

  /** Whether members can be added until the object may end. */
  #isFeasible(place: Place): boolean {
    const from = this.#isOpen ? nothing : place;
    const key = `${from.seen.toString(36)},${from.further}`;
    let known = this.#feasible.get(key);
    if (known === undefined) {
      const seen = from.seen | this.#required;
      known = (seen & this.#impossible) === 0n && this.#search({ ...from, seen }, { left: maxSearch });
      this.#feasible.set(key, known);
    }
    return known;
  }

  #search(place: Place, steps: { left: number }): boolean {
    const { names, min, max } = this.#members;
    if (steps.left-- <= 0 || (max !== Number.POSITIVE_INFINITY && countOf(place) > max)) return false;
    const open = this.#clauses.find((clause) => !this.#holds(clause, place));
    if (open) {
      return open.some(({ member, there }) => {
        if (!there) return false;
        if (member === 'further') return this.#hasFurther && this.#search(this.#withFurther(place), steps);
        return (
          (this.#impossible & this.#bit(member)) === 0n && this.#search(this.#with(place, member), steps)
        );
      });
    }
    if (min === 0 || countOf(place) >= min) return true;
    if (this.#hasFurther && this.#search(this.#withFurther(place), steps)) return true;
    return names.some(
      (_, i) =>
        ((place.seen | this.#impossible) & this.#bit(i)) === 0n && this.#search(this.#with(place, i), steps),
    );
  }
}

const nothing: Place = { seen: 0n, further: 0, keys: [] };

function countOf({ seen, further }: Place): number {
  let count = further;
  for (let left = seen; left > 0n; left &= left - 1n) count++;
  return count;
}

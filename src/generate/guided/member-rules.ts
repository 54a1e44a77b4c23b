// What one object schema says of which members may stand together: whether the members so far may be all, and whether others
// can be added until they are.

import { each, type Patience, type Work } from './patience.ts';
import type { Shared, Term } from './term.ts';

/** One holds: a member is there, or is not; `further` stands for members that have no name here. */
export type MemberClause = readonly { readonly member: number | 'further'; readonly there: boolean }[];

/** What members an object may have: one of the ways to be valid, where there are several. */
export interface MemberRules {
  /** By name; `never` for a property that may not be there. */
  readonly values: readonly Term[];
  /** Members without a name here: texts of their keys, with quotes, which the names are not among, and their values. */
  readonly further: readonly { readonly key: Shared; readonly value: Term }[];
  readonly clauses: readonly MemberClause[];
  readonly min: number;
  readonly max: number;
}

/** Members that are written. */
export interface MemberPlace {
  /** Bit `i`: member `i` is written. */
  readonly seen: bigint;
  /** Members without a name that are written, as far as they count. */
  readonly further: number;
}

export const noMembers: MemberPlace = { seen: 0n, further: 0 };

/** The bits of the first members; objects rarely have more. */
const bits = Array.from({ length: 256 }, (_, member) => 1n << BigInt(member));
const bitOf = (member: number): bigint => bits[member] ?? 1n << BigInt(member);

/** Steps of one search for members that may still be added. */
const maxSearch = 2000;
/** Clauses between looks at the clock. */
const clausesPerLook = 64;

export class Membership {
  readonly rules: MemberRules;
  /** Members without a name are counted up to here. */
  readonly count: number;
  /** Equal keys must not count twice. */
  readonly keepsKeys: boolean;
  readonly #feasible = new Map<string, boolean>();
  /** Members that must be there, and those that cannot be. */
  readonly #required: bigint;
  readonly #forbidden: bigint;
  #impossible: bigint;
  readonly #needed: readonly Term[];
  #further: MemberRules['further'];
  /** What is said beyond that. */
  readonly #clauses: readonly MemberClause[];
  /** Nothing must be absent because of another member. */
  readonly #isMonotone: boolean;
  /** A member more never hurts: there is no limit, and nothing must be absent because of another. */
  readonly #isOpen: boolean;

  private constructor(rules: MemberRules, alone: Alone, clauses: readonly MemberClause[]) {
    const { values, min, max } = rules;
    this.rules = rules;
    this.#required = bitsOf(alone.required);
    this.#forbidden = bitsOf(alone.forbidden);
    this.#impossible = this.#forbidden;
    this.#clauses = clauses;
    this.#needed = [...alone.required].flatMap((i) => values[i] ?? []);
    this.#further = rules.further;
    this.#isMonotone = clauses.every((clause) => clause.every(({ there }) => there));
    this.#isOpen = max === Number.POSITIVE_INFINITY && this.#isMonotone;
    this.count = Math.max(1, max === Number.POSITIVE_INFINITY ? min : max);
    this.keepsKeys = min > 1;
  }

  /** Yields where the patience is over. */
  static *of(rules: MemberRules, patience: Patience): Work<Membership> {
    const [required, forbidden] = [new Set<number>(), new Set<number>()];
    const clauses: MemberClause[] = [];
    yield* each(
      rules.clauses,
      patience,
      (clause) => {
        const [only, more] = clause;
        if (!only || more !== undefined || only.member === 'further') clauses.push(clause);
        else (only.there ? required : forbidden).add(only.member);
      },
      clausesPerLook,
    );
    yield* each(rules.values, patience, ({ kind }, i) => {
      if (kind === 'never') forbidden.add(i);
    });
    return new Membership(rules, { required, forbidden }, clauses);
  }

  /** Takes note of the terms that no text matches; whether there is such an object then. */
  learn(isBarren: (part: Term) => boolean): boolean {
    const { values, further } = this.rules;
    // Asked again and again until those that must be there have texts.
    if (this.#needed.some((value) => isBarren(value))) return false;
    this.#impossible = this.#forbidden | bitsOf(values.flatMap((value, i) => (isBarren(value) ? [i] : [])));
    this.#further = further.filter(({ key, value }) => !isBarren(key) && !isBarren(value));
    this.#feasible.clear();
    return this.#isFeasible(noMembers);
  }

  /** The members without a name of which there are some. */
  get further(): MemberRules['further'] {
    return this.#further;
  }

  get #hasFurther(): boolean {
    return this.#further.length > 0;
  }

  mayAdd(place: MemberPlace, member: number): boolean {
    const taken = (place.seen | this.#impossible) & bitOf(member);
    return taken === 0n && this.#hasRoom(place) && this.#isFeasible(withMember(place, member));
  }

  mayAddFurther(place: MemberPlace): boolean {
    return this.#hasFurther && this.#hasRoom(place) && this.#isFeasible(this.#withFurther(place));
  }

  mayEnd(place: MemberPlace): boolean {
    return (
      (place.seen & this.#required) === this.#required &&
      this.#isWithin(place) &&
      this.#clauses.every((clause) => holds(clause, place))
    );
  }

  #hasRoom(place: MemberPlace): boolean {
    const { max } = this.rules;
    return max === Number.POSITIVE_INFINITY || countOf(place) < max;
  }

  #withFurther(place: MemberPlace): MemberPlace {
    return { ...place, further: Math.min(place.further + 1, this.count) };
  }

  #isWithin(place: MemberPlace): boolean {
    const { min, max } = this.rules;
    if (min === 0 && max === Number.POSITIVE_INFINITY) return true;
    const count = countOf(place);
    return count >= min && count <= max;
  }

  /** Whether members can be added until the object may end. */
  #isFeasible(place: MemberPlace): boolean {
    const from = this.#isOpen ? noMembers : place;
    const key = `${from.seen.toString(36)},${from.further}`;
    let known = this.#feasible.get(key);
    if (known === undefined) {
      const seen = from.seen | this.#required;
      known = (seen & this.#impossible) === 0n && this.#search({ ...from, seen }, { left: maxSearch });
      this.#feasible.set(key, known);
    }
    return known;
  }

  /** How many members there are once all that may be there are. */
  #countWithAll({ seen, further }: MemberPlace): number {
    const { length } = this.rules.values;
    const all = (1n << BigInt(length)) - 1n;
    return countOf({ seen: (all & ~this.#impossible) | seen, further });
  }

  #search(place: MemberPlace, steps: { left: number }): boolean {
    const { values, min, max } = this.rules;
    if (steps.left-- <= 0 || (max !== Number.POSITIVE_INFINITY && countOf(place) > max)) return false;
    const open = this.#clauses.find((clause) => !holds(clause, place));
    if (open) {
      return open.some(({ member, there }) => {
        if (!there) return false;
        if (member === 'further') return this.#hasFurther && this.#search(this.#withFurther(place), steps);
        return (this.#impossible & bitOf(member)) === 0n && this.#search(withMember(place, member), steps);
      });
    }
    if (min === 0 || countOf(place) >= min) return true;
    if (this.#isMonotone) return this.#hasFurther || this.#countWithAll(place) >= min;
    if (this.#hasFurther && this.#search(this.#withFurther(place), steps)) return true;
    return values.some(
      (_, i) =>
        steps.left > 0 &&
        ((place.seen | this.#impossible) & bitOf(i)) === 0n &&
        this.#search(withMember(place, i), steps),
    );
  }
}

export const withMember = (place: MemberPlace, member: number): MemberPlace => ({
  ...place,
  seen: place.seen | bitOf(member),
});

/** The members as bits; at once, since a number of thousands of bits is copied with each that is added. */
function bitsOf(members: Iterable<number>): bigint {
  const nibbles: number[] = [];
  for (const i of members) nibbles[i >> 2] = (nibbles[i >> 2] ?? 0) | (1 << (i & 3));
  const digits = Array.from(nibbles, (nibble = 0) => nibble.toString(16));
  return digits.length === 0 ? 0n : BigInt(`0x${digits.reverse().join('')}`);
}

/** Members that clauses of one part say must be there, and those that cannot be. */
interface Alone {
  readonly required: ReadonlySet<number>;
  readonly forbidden: ReadonlySet<number>;
}

const holds = (clause: MemberClause, place: MemberPlace): boolean =>
  clause.some(({ member, there }) =>
    member === 'further' ? place.further > 0 : ((place.seen & bitOf(member)) !== 0n) === there,
  );

/** Bits of a hexadecimal digit. */
const bitsIn = Array.from({ length: 16 }, (_, n) => (n & 1) + ((n >> 1) & 1) + ((n >> 2) & 1) + (n >> 3));

function countOf({ seen, further }: MemberPlace): number {
  let count = further;
  for (const digit of seen.toString(16)) count += bitsIn[Number.parseInt(digit, 16)] as number;
  return count;
}

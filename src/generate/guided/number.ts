// Numbers within bounds or of a step, as an automaton over their digits: a prefix lives as long as some number that
// begins with it is allowed. Exact: numbers are integers in units of the last decimal place.

import { IngotError } from '../../base/errors.ts';
import { each, eachMade, eachThat, type Patience, type Work } from './patience.ts';
import type { Machine } from './term.ts';

export interface NumberBounds {
  readonly integer: boolean;
  readonly minimum?: number | undefined;
  readonly maximum?: number | undefined;
  readonly exclusiveMinimum?: number | undefined;
  readonly exclusiveMaximum?: number | undefined;
  /** Steps that a number is a multiple of, and those that it is not. */
  readonly multiples?: readonly number[] | undefined;
  readonly notMultiples?: readonly number[] | undefined;
  readonly notValues?: readonly number[] | undefined;
}

/** Digits before the point, and after it, at most: with few enough a double keeps apart what the digits do. */
const wholeDigits = 17;
const places = 17;
const placesNextToBound = 6;
const largestExact = BigInt(Number.MAX_SAFE_INTEGER);
/** Candidates tried where a step is a fraction, whose multiples a division of doubles has to confirm. */
const maxTried = 1000;

interface Limits {
  readonly key: string;
  /** Decimal places a number may have, and digits before the point. */
  readonly places: number;
  readonly wholeDigits: number;
  readonly low: bigint;
  readonly high: bigint;
  readonly step: bigint;
  /** Units of the last place in one. */
  readonly scale: bigint;
  /** Multiples of these are left out, and these values, ascending. */
  readonly holes: readonly bigint[];
  readonly points: readonly bigint[];
  /** States by their key: texts that may go on alike have one. */
  readonly states: Map<string, NumberMachine | undefined>;
  /** Steps that are fractions: validators divide by them as doubles, and that has to give an integer. */
  readonly fractions: readonly number[];
}

/** Undefined when no number is within the bounds. Yields where the patience is over. Throws invalid_argument for bounds that are no finite numbers. */
export function* numberMachine(bounds: NumberBounds, patience: Patience): Work<Machine | undefined> {
  const { multiples = [], notMultiples = [], notValues = [] } = bounds;
  const given = [...boundsOf(bounds), ...[...multiples, ...notMultiples, ...notValues]].filter(
    (x) => x !== undefined,
  );
  for (const x of given) {
    if (!Number.isFinite(x)) {
      throw new IngotError('invalid_argument', `a bound of a number must be finite, got ${x}`);
    }
  }
  let needed = 0;
  yield* each(given, patience, (x) => {
    needed = Math.max(needed, decimals(x));
  });
  const isStepped = bounds.integer || multiples.length > 0;
  // What is no multiple must be none as a double either.
  const isHoled = notMultiples.length > 0 && boundsOf(bounds).every((bound) => bound === undefined);
  const digits = isStepped ? needed : isHoled ? needed + placesNextToBound : decimalsFor(bounds, needed);
  const scale = 10n ** BigInt(digits);
  const steps = [...(bounds.integer ? [scale] : []), ...multiples.map((step) => scaled(step, digits))];
  // Multiples must be exact in all their digits, other numbers in those before the point.
  const exact = multiples.length === 0 && !isHoled ? largestExact * scale : largestExact;
  const low = largest(bounds.minimum, bounds.exclusiveMinimum, digits) ?? -exact;
  const high = negated(largest(minus(bounds.maximum), minus(bounds.exclusiveMaximum), digits)) ?? exact;
  const step = steps.reduce(leastCommonMultiple, 1n);
  const points = yield* eachMade(notValues, patience, (value) => scaled(value, digits));
  const limits: Limits = {
    // States have a key of this beginning each: one that is long would cost its length again with each of them.
    key: notValues.length > maxKeyed ? `${keys++}` : JSON.stringify(bounds),
    places: bounds.integer ? 0 : digits,
    // A bound that is far away has more digits.
    wholeDigits: Math.max(wholeDigits, String(high / scale).length, String(-low / scale).length),
    low,
    high,
    step,
    scale,
    holes: notMultiples.map((step) => scaled(step, digits)),
    points: yield* inOrder(yield* eachThat(points, patience, (point) => point % step === 0n), patience),
    fractions: multiples.filter((step) => !Number.isInteger(step * exactParts)),
    states: new Map(),
  };
  return stateAfter(limits, '');
}

const boundsOf = (bounds: NumberBounds): readonly (number | undefined)[] => [
  ...[bounds.minimum, bounds.maximum, bounds.exclusiveMinimum, bounds.exclusiveMaximum],
];

/** Values left out that the key of a machine names. */
const maxKeyed = 20;
let keys = 0;
/** Values that are sorted at a time. */
const valuesPerRun = 512;

/** Each value once, ascending. */
function* inOrder(values: readonly bigint[], patience: Patience): Work<readonly bigint[]> {
  let runs: (readonly bigint[])[] = [];
  for (let at = 0; at < values.length; at += valuesPerRun) {
    runs.push([...new Set(values.slice(at, at + valuesPerRun))].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)));
    if (patience.over) yield;
  }
  while (runs.length > 1) {
    const merged: (readonly bigint[])[] = [];
    for (let i = 0; i < runs.length; i += 2)
      merged.push(yield* mergedRuns(runs[i] ?? [], runs[i + 1] ?? [], patience));
    runs = merged;
  }
  return runs[0] ?? [];
}

function* mergedRuns(a: readonly bigint[], b: readonly bigint[], patience: Patience): Work<bigint[]> {
  const merged: bigint[] = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const [x, y] = [a[i], b[j]];
    const next = x === undefined || (y !== undefined && y < x) ? (y as bigint) : x;
    if (x === next) i++;
    if (y === next) j++;
    merged.push(next);
    if (merged.length % valuesPerRun === 0 && patience.over) yield;
  }
  return merged;
}

/** How many of ascending values are below a bound. */
function below(values: readonly bigint[], bound: bigint): number {
  let [from, to] = [0, values.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((values[middle] as bigint) < bound) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** Steps that are whole numbers of this part of one are divided by without rounding. */
const exactParts = 2 ** 20;

/** Whether a number is a multiple of a step, in its decimal digits and as a validator divides. */
export function isMultiple(value: number, step: number): boolean {
  if (!Number.isInteger(value / step)) return false;
  const digits = Math.max(decimals(value), decimals(step));
  return digits > 1000 || scaled(value, digits) % scaled(step, digits) === 0n;
}

function decimalsFor(bounds: NumberBounds, needed: number): number {
  const isOpen = bounds.exclusiveMinimum !== undefined || bounds.exclusiveMaximum !== undefined;
  return isOpen ? needed + placesNextToBound : Math.max(needed, places);
}

const minus = (x: number | undefined): number | undefined => (x === undefined ? undefined : -x);
const negated = (x: bigint | undefined): bigint | undefined => (x === undefined ? undefined : -x);

/** The smallest number allowed by an inclusive and an exclusive lower bound. */
function largest(
  inclusive: number | undefined,
  exclusive: number | undefined,
  digits: number,
): bigint | undefined {
  const a = inclusive === undefined ? undefined : scaled(inclusive, digits);
  const b = exclusive === undefined ? undefined : scaled(exclusive, digits) + 1n;
  if (a === undefined || b === undefined) return a ?? b;
  return a > b ? a : b;
}

function leastCommonMultiple(a: bigint, b: bigint): bigint {
  let [x, y] = [a, b];
  while (y !== 0n) [x, y] = [y, x % y];
  return (a / x) * b;
}

/** Decimal places of the shortest text of a number. */
function decimals(x: number): number {
  const [, fraction = '', exponent = '0'] = /^-?\d+(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(x)) ?? [];
  return Math.max(0, fraction.length - Number(exponent));
}

function scaled(x: number, digits: number): bigint {
  const [, sign = '', whole = '0', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(x)) ?? [];
  const shift = digits - fraction.length + Number(exponent);
  const value = BigInt(whole + fraction) * 10n ** BigInt(Math.max(0, shift));
  return sign === '-' ? -value : value;
}

/** The state after a text; undefined when no allowed number begins with it. */
function stateAfter(limits: Limits, text: string): NumberMachine | undefined {
  const state = new NumberMachine(limits, text);
  if (!limits.states.has(state.key)) limits.states.set(state.key, state.canEnd() ? state : undefined);
  return limits.states.get(state.key);
}

class NumberMachine implements Machine {
  readonly key: string;
  readonly alphabet = '-.0123456789';
  readonly #limits: Limits;
  readonly #text: string;
  readonly #next = new Map<number, NumberMachine | undefined>();
  #accepting: boolean | undefined;

  constructor(limits: Limits, text: string) {
    this.#limits = limits;
    this.#text = text;
    this.key = `${limits.key}:${this.#likeness() ?? text}`;
  }

  get accepting(): boolean {
    this.#accepting ??= /\d$/.test(this.#text) && this.#isAllowed();
    return this.#accepting;
  }

  step(byte: number): Machine | undefined {
    if (!this.#next.has(byte)) this.#next.set(byte, this.#after(byte));
    return this.#next.get(byte);
  }

  /**
   * What decides how a text may go on, once its first digits have: how many digits there are, whether all numbers of a
   * length are within the bounds or none is, and what is left over of the step. Undefined where a bound is still near.
   */
  #likeness(): string | undefined {
    const { low, high, step, holes, points, fractions } = this.#limits;
    const negative = this.#text.startsWith('-');
    const digits = negative ? this.#text.slice(1) : this.#text;
    const value = this.#value();
    if (digits === '' || (negative && value === 0n) || holes.length + points.length + fractions.length > 0) {
      return undefined;
    }
    const isFraction = digits.includes('.');
    const more = digits === '0' || isFraction ? 0 : this.#wholeDigits - digits.length;
    const unit = this.#unit();
    let within = '';
    for (let n = 0, factor = 1n; n <= more; n++, factor *= 10n) {
      const [least, most] = [value * factor, (value + unit) * factor - 1n];
      const [from, to] = negative ? [-most, -least] : [least, most];
      if (from >= low && to <= high) within += '+';
      else if (to < low || from > high) within += '-';
      else return undefined;
    }
    const sign = negative ? '-' : '';
    const place = isFraction
      ? `.${digits.length - digits.indexOf('.')}`
      : digits === '0'
        ? '0'
        : digits.length;
    return `${sign}${place}${within}${value % step}`;
  }

  #after(byte: number): NumberMachine | undefined {
    if (byte !== 0x2d && byte !== 0x2e && (byte < 0x30 || byte > 0x39)) return undefined;
    const text = this.#text + String.fromCharCode(byte);
    const [, whole, fraction] = /^-?(0|[1-9]\d*)?(?:\.(\d*))?$/.exec(text) ?? [];
    if (!/^-?((0|[1-9]\d*)(\.\d*)?)?$/.test(text) || (whole?.length ?? 0) > this.#wholeDigits)
      return undefined;
    if (fraction !== undefined && fraction.length + (fraction === '' ? 1 : 0) > this.#limits.places)
      return undefined;
    return stateAfter(this.#limits, text);
  }

  get #wholeDigits(): number {
    return this.#limits.wholeDigits;
  }

  #isAllowed(): boolean {
    const value = this.#value();
    if (!this.#someIn(value, value)) return false;
    return this.#limits.fractions.every((step) => Number.isInteger(Number(this.#text) / step));
  }

  /** What the text says so far, without its sign. */
  #value(): bigint {
    const [whole = '', fraction = ''] = this.#text.replace('-', '').split('.');
    return BigInt(`${whole}${fraction}` || '0') * this.#unit();
  }

  /** What one more of the last digit adds. */
  #unit(): bigint {
    return this.#limits.scale / 10n ** BigInt(this.#text.split('.')[1]?.length ?? 0);
  }

  /** Whether some number that begins with the text is allowed. */
  canEnd(): boolean {
    const value = this.#value();
    const digits = this.#text.replace('-', '');
    const most = this.#wholeDigits;
    if (digits === '') {
      const largest = 10n ** BigInt(most) * this.#limits.scale - 1n;
      return this.#someIn(0n, largest) || (this.#text === '' && this.#someIn(0n, largest, true));
    }
    if (this.#limits.fractions.length > 0 && digits.includes('.')) return this.#someFraction();
    const more = digits === '0' || digits.includes('.') ? 0 : most - digits.length;
    const unit = this.#unit();
    for (let n = 0, factor = 1n; n <= more; n++, factor *= 10n) {
      if (this.#someIn(value * factor, (value + unit) * factor - 1n)) return true;
    }
    return false;
  }

  /** Whether digits can be added after the point so that a validator finds a multiple. */
  #someFraction(): boolean {
    if (this.accepting) return true;
    const used = this.#text.split('.')[1]?.length ?? 0;
    let tried = 0;
    for (let more = 1; used + more <= this.#limits.places; more++) {
      for (let n = 0; n < 10 ** more; n++) {
        if (++tried > maxTried) return false;
        const text = this.#text + String(n).padStart(more, '0');
        if (new NumberMachine(this.#limits, text).accepting) return true;
      }
    }
    return false;
  }

  /** Whether a number is allowed whose size without sign is from `from` to `to`. */
  #someIn(from: bigint, to: bigint, negative = this.#text.startsWith('-')): boolean {
    const { low, high, step, holes, points } = this.#limits;
    // Zero has no sign.
    const [a, b] = negative ? [-to, from === 0n ? -1n : -from] : [from, to];
    const start = low > a ? low : a;
    const end = high < b ? high : b;
    let count = multiplesIn(start, end, step);
    if (count <= 0n) return false;
    // Those that are left out twice are counted twice: at worst too little is allowed.
    for (const hole of holes) count -= multiplesIn(start, end, leastCommonMultiple(step, hole));
    count -= BigInt(below(points, end + 1n) - below(points, start));
    return count > 0n;
  }
}

function multiplesIn(start: bigint, end: bigint, step: bigint): bigint {
  return start > end ? 0n : floorDivide(end, step) - floorDivide(start - 1n, step);
}

function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return a % b < 0n ? quotient - 1n : quotient;
}

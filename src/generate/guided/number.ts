// Numbers within bounds or of a step, as an automaton over their digits: a prefix lives as long as some number that
// begins with it is allowed. Exact: numbers are integers in units of the last decimal place.

import { IngotError } from '../../base/errors.ts';
import type { Machine } from './term.ts';

export interface NumberBounds {
  readonly integer: boolean;
  readonly minimum?: number | undefined;
  readonly maximum?: number | undefined;
  readonly exclusiveMinimum?: number | undefined;
  readonly exclusiveMaximum?: number | undefined;
  readonly multipleOf?: number | undefined;
}

/** Digits before the point, and after it, at most: with few enough a double keeps apart what the digits do. */
const wholeDigits = 17;
const places = 17;
const placesNextToBound = 6;
const largestExact = BigInt(Number.MAX_SAFE_INTEGER);

interface Limits {
  readonly key: string;
  /** Decimal places a number may have. */
  readonly places: number;
  readonly low: bigint;
  readonly high: bigint;
  readonly step: bigint;
  /** Units of the last place in one. */
  readonly scale: bigint;
}

/** Undefined when no number is within the bounds. Throws invalid_argument for bounds that are no finite numbers. */
export function numberMachine(bounds: NumberBounds): Machine | undefined {
  const given = [
    bounds.minimum,
    bounds.maximum,
    bounds.exclusiveMinimum,
    bounds.exclusiveMaximum,
    bounds.multipleOf,
  ];
  for (const x of given) {
    if (x !== undefined && !Number.isFinite(x)) {
      throw new IngotError('invalid_argument', `a bound of a number must be finite, got ${x}`);
    }
  }
  const needed = Math.max(...given.map((x) => decimals(x ?? 0)));
  const digits = bounds.integer || bounds.multipleOf !== undefined ? needed : decimalsFor(bounds, needed);
  const scale = 10n ** BigInt(digits);
  const steps = [
    ...(bounds.integer ? [scale] : []),
    ...(bounds.multipleOf === undefined ? [] : [scaled(bounds.multipleOf, digits)]),
  ];
  // Multiples must be exact in all their digits, other numbers in those before the point.
  const exact = bounds.multipleOf === undefined ? largestExact * scale : largestExact;
  const limits: Limits = {
    key: JSON.stringify(bounds),
    places: bounds.integer ? 0 : digits,
    low: largest(bounds.minimum, bounds.exclusiveMinimum, digits) ?? -exact,
    high: negated(largest(minus(bounds.maximum), minus(bounds.exclusiveMaximum), digits)) ?? exact,
    step: steps.reduce(leastCommonMultiple, 1n),
    scale,
  };
  const start = new NumberMachine(limits, '');
  return start.canEnd() ? start : undefined;
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

class NumberMachine implements Machine {
  readonly key: string;
  readonly accepting: boolean;
  readonly alphabet = '-.0123456789';
  readonly #limits: Limits;
  readonly #text: string;

  constructor(limits: Limits, text: string) {
    this.#limits = limits;
    this.#text = text;
    this.key = `${limits.key}:${text}`;
    const value = this.#value();
    this.accepting = /\d$/.test(text) && this.#someIn(value, value);
  }

  step(byte: number): Machine | undefined {
    const text = this.#text + String.fromCharCode(byte);
    const [, whole, fraction] = /^-?(0|[1-9]\d*)?(?:\.(\d*))?$/.exec(text) ?? [];
    if (!/^-?((0|[1-9]\d*)(\.\d*)?)?$/.test(text) || (whole?.length ?? 0) > wholeDigits) return undefined;
    if (fraction !== undefined && fraction.length + (fraction === '' ? 1 : 0) > this.#limits.places)
      return undefined;
    const next = new NumberMachine(this.#limits, text);
    return next.canEnd() ? next : undefined;
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
    if (digits === '') {
      const largest = 10n ** BigInt(wholeDigits) * this.#limits.scale - 1n;
      return this.#someIn(0n, largest) || (this.#text === '' && this.#someIn(0n, largest, true));
    }
    const more = digits === '0' || digits.includes('.') ? 0 : wholeDigits - digits.length;
    for (let n = 0; n <= more; n++) {
      const factor = 10n ** BigInt(n);
      if (this.#someIn(value * factor, (value + this.#unit()) * factor - 1n)) return true;
    }
    return false;
  }

  /** Whether a number is allowed whose size without sign is from `from` to `to`. */
  #someIn(from: bigint, to: bigint, negative = this.#text.startsWith('-')): boolean {
    const { low, high, step } = this.#limits;
    // Zero has no sign.
    const [a, b] = negative ? [-to, from === 0n ? -1n : -from] : [from, to];
    const start = low > a ? low : a;
    const end = high < b ? high : b;
    return start <= end && floorDivide(end, step) * step >= start;
  }
}

function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return a % b < 0n ? quotient - 1n : quotient;
}

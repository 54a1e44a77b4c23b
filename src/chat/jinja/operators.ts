// Operators as Python has them.

import type { BinaryOperator, CompareOperator } from './ast.ts';
import type { Budget } from './budget.ts';
import { formatPercent } from './format.ts';
import { compareTexts, escapeHtml, lengthOf, str } from './text.ts';
import {
  Dict,
  fail,
  hash,
  isNumber,
  itemsOf,
  Markup,
  numeric,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from './values.ts';

/** Bits of the longest integer: Python itself prints no more than 4,300 digits. */
const mostBits = 14_000;

/** Whether an integer and a float, or two of a kind, are the same number: neither is below the other, and both have an order. */
const sameNumber = (a: bigint | number, b: bigint | number): boolean => a <= b && a >= b;

export function equal(a: Value, b: Value): boolean {
  if (isNumber(a) && isNumber(b)) return sameNumber(numeric(a), numeric(b));
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) return sameItems(a, b);
  if (a instanceof Tuple && b instanceof Tuple) return sameItems(a.items, b.items);
  if (a instanceof Dict && b instanceof Dict) {
    return (
      a.size === b.size && a.entries().every(([key, value]) => b.has(key) && equal(value, b.get(key) ?? null))
    );
  }
  if (a instanceof Markup || b instanceof Markup)
    return plainText(a) !== undefined && plainText(a) === plainText(b);
  if (a instanceof Undefined && b instanceof Undefined) return true;
  return a instanceof View && b instanceof View && sameItems(a.items, b.items);
}

const plainText = (value: Value): string | undefined =>
  typeof value === 'string' ? value : value instanceof Markup ? value.text : undefined;

const sameItems = (a: readonly Value[], b: readonly Value[]): boolean =>
  a.length === b.length && a.every((item, i) => equal(item, b[i] ?? null));

/** Order of two values: below, at or above 0; NaN for numbers that have none. Fails for kinds that have no order. */
export function compare(a: Value, b: Value, operator = '<'): number {
  if (isNumber(a) && isNumber(b)) {
    const x = numeric(a);
    const y = numeric(b);
    if (x < y) return -1;
    return x > y ? 1 : sameNumber(x, y) ? 0 : Number.NaN;
  }
  const [x, y] = [plainText(a), plainText(b)];
  if (x !== undefined && y !== undefined) return compareTexts(x, y);
  const [left, right] = [sequenceOf(a), sequenceOf(b)];
  if (left && right && Array.isArray(a) === Array.isArray(b)) {
    const at = left.findIndex((item, i) => i >= right.length || !equal(item, right[i] ?? null));
    if (at < 0) return left.length - right.length;
    return at >= right.length ? 1 : compare(left[at] ?? null, right[at] ?? null, operator);
  }
  if (a instanceof Undefined) a.fail();
  if (b instanceof Undefined) b.fail();
  return fail(`'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

const sequenceOf = (value: Value): readonly Value[] | undefined =>
  Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined;

export function contains(container: Value, item: Value): boolean {
  const text = plainText(container);
  if (text !== undefined) {
    const part = plainText(item);
    if (part === undefined) {
      if (item instanceof Undefined) item.fail();
      fail(`'in <string>' requires string as left operand, not ${typeName(item)}`);
    }
    return text.includes(part);
  }
  if (container instanceof Dict) return container.has(item);
  if (isNumber(container) || container === null)
    fail(`argument of type '${typeName(container)}' is not iterable`);
  return itemsOf(container).some((each) => equal(each, item));
}

export function compareBy(operator: CompareOperator, a: Value, b: Value): boolean {
  switch (operator) {
    case '==':
      return equal(a, b);
    case '!=':
      return !equal(a, b);
    case '<':
      return compare(a, b, operator) < 0;
    case '<=':
      return compare(a, b, operator) <= 0;
    case '>':
      return compare(a, b, operator) > 0;
    case '>=':
      return compare(a, b, operator) >= 0;
    case 'in':
      return contains(b, a);
    case 'not in':
      return !contains(b, a);
  }
}

export function binary(operator: BinaryOperator, a: Value, b: Value, budget: Budget): Value {
  if (a instanceof Undefined) return a.fail();
  if (b instanceof Undefined && !(operator === '%' && typeof a === 'string')) return b.fail();
  if (isNumber(a) && isNumber(b)) return arithmetic(operator, numeric(a), numeric(b));
  switch (operator) {
    case '+':
      return added(a, b, budget);
    case '*':
      if (isNumber(b) && typeof b !== 'number') return repeated(a, b, budget);
      if (isNumber(a) && typeof a !== 'number') return repeated(b, a, budget);
      break;
    case '%':
      if (typeof a === 'string') return formatPercent(a, b, budget);
  }
  const name = operator === '**' ? '** or pow()' : operator;
  return fail(`unsupported operand type(s) for ${name}: '${typeName(a)}' and '${typeName(b)}'`);
}

function added(a: Value, b: Value, budget: Budget): Value {
  if (typeof a === 'string' && typeof b === 'string') {
    budget.make(a.length + b.length);
    return a + b;
  }
  if (a instanceof Markup || b instanceof Markup) {
    const [x, y] = [escaped(a), escaped(b)];
    budget.make(x.length + y.length);
    return new Markup(x + y);
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    budget.make(a.length + b.length);
    return [...a, ...b];
  }
  if (a instanceof Tuple && b instanceof Tuple) {
    budget.make(a.items.length + b.items.length);
    return new Tuple([...a.items, ...b.items]);
  }
  if (typeof a === 'string') fail(`can only concatenate str (not "${typeName(b)}") to str`);
  if (Array.isArray(a)) fail(`can only concatenate list (not "${typeName(b)}") to list`);
  return fail(`unsupported operand type(s) for +: '${typeName(a)}' and '${typeName(b)}'`);
}

/** The text of a value, escaped unless it is marked as safe. */
export const escaped = (value: Value): string =>
  value instanceof Markup ? value.text : escapeHtml(str(value));

function repeated(value: Value, count: bigint | boolean, budget: Budget): Value {
  const times = Math.max(0, Number(count));
  if (typeof value === 'string') {
    budget.make(value.length * times);
    return value.repeat(times);
  }
  const items = sequenceOf(value);
  if (!items) return fail(`can't multiply sequence by non-int of type '${typeName(value)}'`);
  budget.make(items.length * times);
  const all = Array.from({ length: items.length * times }, (_, i) => items[i % items.length] ?? null);
  return Array.isArray(value) ? all : new Tuple(all);
}

function arithmetic(operator: BinaryOperator, a: bigint | number, b: bigint | number): Value {
  if (typeof a === 'bigint' && typeof b === 'bigint') return integers(operator, a, b);
  const [x, y] = [Number(a), Number(b)];
  switch (operator) {
    case '+':
      return x + y;
    case '-':
      return x - y;
    case '*':
      return x * y;
    case '/':
      return y === 0 ? fail('float division by zero') : x / y;
    case '//':
      return y === 0 ? fail('float floor division by zero') : Math.floor((x - floatModulo(x, y)) / y + 0.5);
    case '%':
      return y === 0 ? fail('float modulo by zero') : floatModulo(x, y);
    case '**':
      return floatPower(x, y);
  }
}

/** Has the sign of the divisor. */
function floatModulo(x: number, y: number): number {
  const rest = x % y;
  if (rest === 0) return y < 0 ? -0 : 0;
  return rest < 0 !== y < 0 ? rest + y : rest;
}

function floatPower(x: number, y: number): number {
  if (x === 0 && y < 0) fail('zero to a negative power');
  if (x < 0 && !Number.isInteger(y)) fail('complex numbers are not supported');
  if (x === 1) return 1;
  return x ** y;
}

function integers(operator: BinaryOperator, a: bigint, b: bigint): Value {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return bounded(a * b);
    case '/':
      return b === 0n ? fail('division by zero') : quotient(a, b);
    case '//':
      return b === 0n ? fail('integer division or modulo by zero') : (a - integerModulo(a, b)) / b;
    case '%':
      return b === 0n ? fail('integer modulo by zero') : integerModulo(a, b);
    case '**':
      if (b < 0n) return floatPower(Number(a), Number(b));
      if (Number(b) * bits(a) > mostBits) fail(`an integer of more than ${mostBits} bits is not supported`);
      return a ** b;
  }
}

function quotient(a: bigint, b: bigint): number {
  const value = Number(a) / Number(b);
  return Number.isFinite(value) ? value : fail('integer division result too large for a float');
}

function integerModulo(a: bigint, b: bigint): bigint {
  const rest = a % b;
  return rest !== 0n && rest < 0n !== b < 0n ? rest + b : rest;
}

const bits = (value: bigint): number => (value < 0n ? -value : value).toString(2).length;

function bounded(value: bigint): bigint {
  return value.toString(16).length * 4 > mostBits
    ? fail(`an integer of more than ${mostBits} bits is not supported`)
    : value;
}

export function unary(operator: '-' | '+', value: Value): Value {
  if (value instanceof Undefined) return value.fail();
  if (!isNumber(value)) return fail(`bad operand type for unary ${operator}: '${typeName(value)}'`);
  const number = numeric(value);
  return operator === '-' ? -number : number;
}

/** An integer from a value that is one, as an index must be. */
export function indexOf(value: Value, what: string): number {
  if (typeof value === 'bigint' || typeof value === 'boolean') return Number(value);
  return fail(`${what} must be integers, not ${typeName(value)}`);
}

/** `length`, or a failure for what has none. */
export function size(value: Value): number {
  if (typeof value === 'string') return lengthOf(value);
  if (value instanceof Markup) return lengthOf(value.text);
  if (Array.isArray(value)) return value.length;
  if (value instanceof Tuple || value instanceof View) return value.items.length;
  if (value instanceof Dict) return value.size;
  if (value instanceof Undefined) return 0;
  return fail(`object of type '${typeName(value)}' has no len()`);
}

/** A key of `value`; undefined when it is not there. */
export function itemAt(value: Value, key: Value): Value | undefined {
  if (value instanceof Dict) {
    if (Array.isArray(key) || key instanceof Dict) return undefined;
    hash(key);
    return value.get(key);
  }
  if (typeof key !== 'bigint' && typeof key !== 'boolean') return undefined;
  const at = Number(key);
  if (typeof value === 'string') {
    const astral = lengthOf(value) !== value.length;
    const found = astral ? [...value].at(at) : value.at(at);
    return found;
  }
  if (value instanceof Tuple || (value instanceof View && value.kind === 'range')) return value.items.at(at);
  return Array.isArray(value) ? value.at(at) : undefined;
}

export interface SliceBounds {
  readonly start: Value;
  readonly stop: Value;
  readonly step: Value;
}

/** `value[start:stop:step]`; undefined for what cannot be sliced. */
export function sliceOf(value: Value, slice: SliceBounds, budget: Budget): Value | undefined {
  const text = typeof value === 'string' ? value : undefined;
  const items: readonly unknown[] | undefined =
    text !== undefined ? (lengthOf(text) === text.length ? undefined : [...text]) : sequenceOf(value);
  if (text === undefined && !items) return undefined;
  const length = items ? items.length : (text ?? '').length;
  const { from, to, step } = bounds(slice, length);
  budget.make(Math.max(0, Math.ceil((to - from) / step)));
  if (step === 1 && !items) return (text ?? '').slice(from, Math.max(from, to));
  const picked: unknown[] = [];
  for (let i = from; step > 0 ? i < to : i > to; i += step) picked.push(items ? items[i] : text?.[i]);
  if (text !== undefined) return picked.join('');
  return Array.isArray(value) ? (picked as Value[]) : new Tuple(picked as Value[]);
}

function bounds(
  { start, stop, step: by }: SliceBounds,
  length: number,
): { from: number; to: number; step: number } {
  const number = (value: Value): number | undefined =>
    value === null ? undefined : indexOf(value, 'slice indices');
  const step = number(by) ?? 1;
  if (step === 0) fail('slice step cannot be zero');
  const [low, high] = step > 0 ? [0, length] : [-1, length - 1];
  const clamp = (value: number | undefined, otherwise: number): number =>
    value === undefined ? otherwise : Math.min(high, Math.max(low, value < 0 ? value + length : value));
  return {
    from: clamp(number(start), step > 0 ? 0 : high),
    to: clamp(number(stop), step > 0 ? length : -1),
    step,
  };
}

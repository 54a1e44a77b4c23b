// Every function of ingot/array, given junk in place of any of its arguments, says what it is called, which argument and what
// is wrong with it; never an error without a type, and nothing is made of nonsense.

import { describe, expect, it } from 'vitest';
import { type GoldenCase, goldenArguments, goldenCases } from '../../tests/devices/array-goldens.ts';
import { IngotError } from '../base/errors.ts';
import { checked } from './check-arguments.ts';
import * as a from './checked/index.ts';

const junk: readonly (readonly [string, unknown])[] = [
  ['nothing', undefined],
  ['null', null],
  ['a text', 'junk'],
  ['an object', { junk: 1 }],
  ['NaN', Number.NaN],
  ['a far number', -99.5],
  ['a list of texts', ['a']],
  ['a function', () => 1],
  ['a symbol', Symbol('junk')],
  ['a bigint', 3n],
  ['a date', new Date(0)],
];
/** What no function takes. */
const never = new Set(['an object', 'a symbol', 'a bigint', 'a date', 'a list of texts']);

const find = (name: string): unknown =>
  name.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], a);

/** The case of each function with the most arguments. */
const byName = new Map<string, GoldenCase>();
for (const c of goldenCases()) {
  const before = byName.get(c.f);
  if (typeof find(c.f) === 'function' && c.args.length > (before?.args.length ?? -1)) byName.set(c.f, c);
}

/** What is wrong with what `call` does with junk; undefined where it does right. */
async function problem(call: () => unknown, kind: string): Promise<string | undefined> {
  try {
    await call();
    return never.has(kind) ? 'is taken' : undefined;
  } catch (error) {
    const typed =
      error instanceof IngotError && error.code !== 'internal' && /:|is not defined for/.test(error.message);
    return typed ? undefined : String(error);
  }
}

it('functions refuse junk at every place', async () => {
  const problems: string[] = [];
  let calls = 0;
  for (const [name, c] of byName) {
    const f = find(name) as (...args: unknown[]) => unknown;
    for (let place = 0; place < c.args.length; place++) {
      for (const [kind, value] of junk) {
        const args = goldenArguments(c);
        args[place] = value;
        const found = await problem(() => f(...args), kind);
        calls++;
        if (found !== undefined) problems.push(`${name}: ${kind} as argument ${place}: ${found}`);
      }
    }
  }
  expect(problems).toEqual([]);
  expect(calls).toBeGreaterThan(8000);
});

it('methods refuse junk at every place', async () => {
  const x = a.fromData([
    [1, 2],
    [3, 4],
  ]);
  const methods = x as unknown as Record<string, (...args: unknown[]) => unknown>;
  const names = Object.getOwnPropertyNames(a.Array.prototype).filter(
    (name) =>
      !/^(constructor|dispose|apply|applyMany)$/.test(name) &&
      typeof Object.getOwnPropertyDescriptor(a.Array.prototype, name)?.value === 'function',
  );
  const problems: string[] = [];
  for (const name of names) {
    for (const [kind, value] of junk) {
      const found = await problem(() => methods[name]?.(value), '');
      if (found !== undefined) problems.push(`${name}(${kind}): ${found}`);
    }
  }
  expect(names.length).toBeGreaterThan(70);
  expect(problems).toEqual([]);
});

const untyped = a as unknown as Record<string, (...args: unknown[]) => unknown>;
const x = a.fromData([1, 2, 3]);
it.each([
  [() => untyped.relu?.(null), /^relu: x must be an array, got null$/],
  [
    () => untyped.multiply?.(x, 'two'),
    /^multiply: b must be an array or a truth value or a number, got 'two'$/,
  ],
  [
    () => untyped.sum?.(x, { axis: 0 }),
    /^sum: axes must be null or a number or a list of numbers, got \{ axis \}$/,
  ],
  [
    () => untyped.conv2d?.(x, x, { strides: 2 }),
    /^conv2d: option strides is none of stride, padding, dilation, groups$/,
  ],
  [
    () => untyped.conv2d?.(x, x, 1, { padding: 'same' }),
    /^conv2d: padding must be a number or a list of numbers, got 'same'$/,
  ],
  [() => a.linalg.qr([[1]] as unknown as typeof x), /^linalg\.qr: x must be an array, got a list of 1$/],
  [() => untyped.zeros?.([2, 'a']), /^zeros: shape must be .*, got a list of 2$/],
  [() => x.cast('f64' as 'f32'), /^cast: dtype must be a dtype \(f32, .*\), got 'f64'$/],
] as const)('%s', (call, message) => {
  expect(call).toThrow(message);
});

describe('signatures', () => {
  const f = checked(
    (...args: unknown[]) => args,
    "f(x: number, y?: 'a' | 'b' | null, z?: (number | string)[])",
  );
  it('pass arguments on, null as left out where it is not among the types', () => {
    expect(f(1, null, null)).toEqual([1, null, undefined]);
    expect(f(1, 'b', [1, 'x'])).toEqual([1, 'b', [1, 'x']]);
    expect(f.name).toBe('f');
  });
  it('tell what does not fit', () => {
    expect(() => f('1')).toThrow(/^f: x must be a number, got '1'$/);
    expect(() => f()).toThrow(/^f: x must be a number, got undefined$/);
    expect(() => f(1, 'c')).toThrow(/^f: y must be 'a' or 'b' or null, got 'c'$/);
    expect(() => f(1, 'a', [null])).toThrow(/^f: z must be a list of numbers or texts, got a list of 1$/);
  });
  it('of several one must fit, with a place for each argument', () => {
    const g = checked((...args: unknown[]) => args, 'g(x: number)', 'g(x: string, ...rest: boolean[])');
    expect(g('x', true, false)).toEqual(['x', true, false]);
    expect(() => g('x', 1)).toThrow(/^g: argument 2 must be a truth value, got 1$/);
    expect(() => g(null)).toThrow(/^g: x must be a number, got null$/);
  });
});

// Cases of tests/goldens/arrays.json (made by tools/goldens/arrays.py): a function of ingot/array, its arguments, and what
// NumPy or PyTorch gives.

import { readFileSync } from 'node:fs';
import { Array as NDArray } from '../../src/array/array.ts';
import * as library from '../../src/array/checked/index.ts';
import { fromData } from '../../src/array/creation.ts';
import type { Complex } from '../../src/array/functions/fft.ts';
import type { DType } from '../../src/base/dtype.ts';
import { expectAllClose } from '../../src/testing/allclose.ts';

interface GoldenArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: readonly (number | 'nan' | 'inf' | '-inf')[];
}
type Argument =
  | { readonly array: GoldenArray }
  | { readonly arrays: readonly GoldenArray[] }
  | { readonly value: unknown };

export interface GoldenCase {
  readonly f: string;
  readonly args: readonly Argument[];
  readonly want: GoldenArray | readonly GoldenArray[];
  readonly tolerance: number;
}

export const goldenCases = (): readonly GoldenCase[] =>
  JSON.parse(readFileSync(new URL('../goldens/arrays.json', import.meta.url), 'utf8')) as GoldenCase[];

const words = { nan: Number.NaN, inf: Number.POSITIVE_INFINITY, '-inf': Number.NEGATIVE_INFINITY };
const numbers = (a: GoldenArray): number[] =>
  a.data.map((x) => (typeof x !== 'number' ? words[x] : a.dtype === 'f32' ? Math.fround(x) : x));
const make = (a: GoldenArray): NDArray => fromData(numbers(a), a.shape, { dtype: a.dtype });

/** Plain values, in which `{ $array }` stands for an array. */
function revive(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  if ('$array' in value) return make(value.$array as GoldenArray);
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, revive(v)]));
}

type Results = NDArray | readonly NDArray[] | Complex;

/** The function of this name, also `linalg.inv`. */
function find(name: string): (...args: unknown[]) => Results | Promise<Results> {
  const found = name.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], library);
  if (typeof found === 'function') return found as (...args: unknown[]) => NDArray;
  return (x, ...rest) => (x as Record<string, (...args: unknown[]) => NDArray>)[name]?.(...rest) as NDArray;
}

/** The arguments of a case, made anew. */
export const goldenArguments = ({ args }: GoldenCase): unknown[] =>
  args.map((a) => {
    if ('array' in a) return make(a.array);
    return 'arrays' in a ? a.arrays.map(make) : revive(a.value);
  });

/** Rejects when shape, kind of dtype or an element is not as the reference says. */
export async function runGolden(c: GoldenCase): Promise<void> {
  const { f, want, tolerance } = c;
  const result = await find(f)(...goldenArguments(c));
  const results =
    result instanceof NDArray ? [result] : 'real' in result ? [result.real, result.imag] : [...result];
  const wanted = (Array.isArray(want) ? want : [want]) as readonly GoldenArray[];
  for (const [i, w] of wanted.entries()) {
    const got = results[i] as NDArray;
    if (JSON.stringify(got.shape) !== JSON.stringify(w.shape)) {
      throw new Error(`${f}: shape [${got.shape}], want [${w.shape}]`);
    }
    if ((got.dtype === 'bool') !== (w.dtype === 'bool') || (got.dtype === 'f32') !== (w.dtype === 'f32')) {
      throw new Error(`${f}: dtype ${got.dtype}, want ${w.dtype}`);
    }
    const values = numbers(w);
    const scale = values.reduce((m, v) => (Number.isFinite(v) ? Math.max(m, Math.abs(v)) : m), 0);
    const bound = { absolute: tolerance * Math.min(scale, 10), relative: tolerance };
    expectAllClose(await got.data(), values, bound, f);
  }
  for (const r of results) r.dispose();
}

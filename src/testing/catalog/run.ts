// Runs cases of the catalog as one plan: results of the kernels, or of what they are compared with, and their gradients.

import { NDArray } from '../../array/array.ts';
import { compile, type InputSpec } from '../../array/compile.ts';
import { fromData } from '../../array/creation.ts';
import { grad } from '../../array/transform/grad.ts';
import type { TypedArray } from '../../base/dtype.ts';
import type { Device } from '../../device/device.ts';
import { compare } from '../allclose.ts';
import { caseTensor } from '../case-data.ts';
import type { Cases, CatalogCase } from './case.ts';

export interface CaseResult {
  readonly label: string;
  readonly type: string;
  readonly bound: number;
  readonly data: ArrayLike<number>;
}

/** Results of one side of every case; gradients behind those of each case, unless they are left out. */
export async function caseResults(
  device: Device,
  cases: Cases,
  side: 'run' | 'want',
  { gradients = true } = {},
): Promise<readonly CaseResult[]> {
  const entries = Object.entries(cases);
  const inputs: Record<string, InputSpec> = {};
  const data: Record<string, TypedArray> = {};
  for (const [name, c] of entries) {
    c.operands.forEach((spec, i) => {
      const tensor = caseTensor(spec, seedOf(name) + i);
      inputs[`${name}.${i}`] = { shape: tensor.shape, dtype: tensor.dtype };
      data[`${name}.${i}`] = tensor.data;
    });
  }
  const found: Omit<CaseResult, 'data'>[] = [];
  const fn = (given: Readonly<Record<string, NDArray>>): readonly NDArray[] =>
    entries.flatMap(([name, c]) => {
      const xs = c.operands.map((_, i) => given[`${name}.${i}`] as NDArray);
      const all = [...results(c[side](...xs)), ...(gradients ? gradientsOf(c, c[side], xs) : [])];
      return all.map(([key, y]) => {
        found.push({ label: `${name} ${key}`, type: `${y.dtype}[${y.shape}]`, bound: c.bound ?? 2e-5 });
        return y;
      });
    });
  using plan = compile(fn, { device, inputs });
  const out = await plan.run({ inputs: data });
  return Promise.all(found.map(async (f, i) => ({ ...f, data: (await out[i]?.data()) ?? [] })));
}

/** Of the name alone, so that a case has the same numbers among others. */
const seedOf = (name: string): number =>
  [...name].reduce((h, c) => (h * 31 + c.charCodeAt(0)) % 1_000_003, 7);

/** What is wrong, a line for each result that is. */
export function differences(got: readonly CaseResult[], want: readonly CaseResult[]): readonly string[] {
  const expected = new Map(want.map((w) => [w.label, w]));
  return got.flatMap(({ label, type, data, bound }) => {
    const w = expected.get(label);
    if (w === undefined || w.type !== type) return [`${label}: ${type}, expected ${w?.type ?? 'nothing'}`];
    const { ok, report } = compare(data, w.data, { absolute: bound, relative: bound });
    return ok ? [] : [`${label}: ${report}`];
  });
}

const results = (r: ReturnType<CatalogCase['run']>): readonly (readonly [string, NDArray])[] =>
  r instanceof NDArray ? [['', r]] : Object.entries(r);

/** Gradients of the sum of the first result times fixed numbers. */
function gradientsOf(
  c: CatalogCase,
  f: CatalogCase['run'],
  xs: readonly NDArray[],
): readonly (readonly [string, NDArray])[] {
  const places = c.gradient ?? c.operands.flatMap(({ dtype = 'f32' }, i) => (dtype === 'f32' ? [i] : []));
  if (places.length === 0) return [];
  const loss = (...list: NDArray[]): NDArray => {
    const y = results(f(...list))[0]?.[1] as NDArray;
    const n = (y.shape as readonly number[]).reduce((a, d) => a * d, 1);
    const seed = Float32Array.from({ length: n }, (_, i) => Math.sin(i + 1));
    return y.mul(fromData(seed, y.shape as readonly number[])).sum();
  };
  const grads = grad(loss, places)(...xs) as readonly NDArray[];
  return places.map((p, i) => [`gradient of operand ${p}`, grads[i] as NDArray] as const);
}

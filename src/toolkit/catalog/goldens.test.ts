// Kernels of the catalog give what PyTorch, MLX and NumPy give, with their gradients (tools/goldens/catalog.py).

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { NDArray } from '../../array/array.ts';
import { compile, type Outputs } from '../../array/compile.ts';
import { fromData } from '../../array/creation.ts';
import { vjp } from '../../array/transform/grad.ts';
import type { DType, TypedArray } from '../../base/dtype.ts';
import { openDevice } from '../../device/open.ts';
import { compare } from '../../testing/allclose.ts';
import * as catalog from './index.ts';

interface Golden {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: readonly (number | null)[];
}
interface Case {
  readonly f: string;
  readonly arrays: readonly Golden[];
  readonly args: readonly unknown[];
  readonly want: readonly Golden[];
  readonly gradients?: readonly Golden[];
  readonly tolerance: number;
}
const cases: readonly Case[] = JSON.parse(
  readFileSync(new URL('../../../tests/goldens/catalog.json', import.meta.url), 'utf8'),
);

type Kernel = (...args: unknown[]) => unknown;
const kernels = catalog as unknown as Readonly<Record<string, Readonly<Record<string, Kernel>>>>;
/** The kernel on arrays and plain arguments, as the list of its results. */
function results({ f, args }: Case, xs: readonly NDArray[]): readonly NDArray[] {
  const [module = '', name = ''] = f.split('.');
  const kernel = kernels[module]?.[name] as Kernel;
  const [p, g, m, v] = xs;
  const rate = { learningRate: 0.01, step: 3 };
  const adapted: Readonly<Record<string, () => unknown>> = {
    optimizers: () => kernel({ p, g, m, v, ...rate }, ...args),
    'norms.groupNorm': () => kernel(p, args[0], g, m),
    'moe.routeSigmoid': () => kernel(p, args[0], { bias: g, ...(args[1] as object) }),
  };
  const found = (adapted[f] ?? adapted[module] ?? (() => kernel(...xs, ...args)))();
  return found instanceof NDArray ? [found] : Object.values(found as Readonly<Record<string, NDArray>>);
}

const numbers = ({ data }: Golden): number[] => data.map((v) => v ?? Number.NaN);
const cosine = ({ shape, data }: Golden): NDArray =>
  fromData(
    Float32Array.from(data, (_, i) => Math.cos(i)),
    shape,
  );

const device = await openDevice('cpu');
it.each(cases.map((c, i) => [`${c.f} ${i}`, c] as const))('%s', async (_, c) => {
  const inputs = Object.fromEntries(c.arrays.map(({ shape, dtype }, i) => [`x${i}`, { shape, dtype }]));
  const differentiable = c.arrays.flatMap(({ dtype }, i) => (dtype === 'f32' ? [i] : []));
  const fn = (given: Readonly<Record<string, NDArray>>): Outputs => {
    const xs = c.arrays.map((_, i) => given[`x${i}`] as NDArray);
    const own = results(c, xs);
    if (c.gradients === undefined) return own;
    const first = (...ys: NDArray[]): NDArray =>
      results(
        c,
        xs.map((x, i) => ys[differentiable.indexOf(i)] ?? x),
      )[0] as NDArray;
    const [, gradients] = vjp(
      first,
      differentiable.map((i) => xs[i] as NDArray),
      [cosine(c.want[0] as Golden)],
    );
    return [...own, ...gradients];
  };
  using plan = compile(fn, { device, inputs });
  const given = Object.fromEntries(c.arrays.map((a, i) => [`x${i}`, numbers(a)]));
  const outputs = await plan.run({ inputs: given });
  const wanted = [...c.want, ...(c.gradients ?? [])];
  expect(outputs).toHaveLength(wanted.length);
  for (const [i, want] of wanted.entries()) {
    const got = (await outputs[i]?.data()) as TypedArray;
    expect(outputs[i]?.shape).toEqual(want.shape);
    const list = numbers(want);
    const size = Math.max(1e-3, ...list.map((x) => Math.abs(x) || 0));
    const bound = { absolute: c.tolerance * Math.min(size, 100), relative: c.tolerance + 1e-6 };
    expect(compare(Array.from(got, Number), list, bound), `result ${i}`).toMatchObject({ ok: true });
  }
});

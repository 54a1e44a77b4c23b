import { describe, expect, it } from 'vitest';
import { openJsDevice } from '../device/js/device.ts';
import { openDevice } from '../device/open.ts';
import { compare } from '../testing/allclose.ts';
import { layerInputs, layerWeights, llamaLayer, qwenMoeLayer, runLayer } from '../testing/layers.ts';
import type { NDArray } from './array.ts';
import { compile, type Outputs } from './compile.ts';
import { fromData } from './creation.ts';
import { patterns as fusions } from './graph/fusion/fuse.ts';
import { topk } from './ops/indexing/topk.ts';
import { layerNorm } from './ops/nn/layer-norm.ts';
import { namesIn, type PatternChoice, patternNames, resolvePatterns } from './patterns.ts';

const device = openJsDevice();

describe('a choice of patterns', () => {
  it('is a list of exactly those, or switches over the defaults', () => {
    expect(resolvePatterns(undefined).size).toBe(patternNames.length);
    expect(namesIn(resolvePatterns(['rope_kv', 'norms']))).toEqual(['norms', 'rope_kv']);
    expect(resolvePatterns([]).size).toBe(0);
    expect(resolvePatterns({ rope_kv: false }).has('rope_kv')).toBe(false);
    expect(namesIn(resolvePatterns({ norms: true, rope_kv: undefined }, new Set(['rope_kv'])))).toEqual([
      'norms',
      'rope_kv',
    ]);
  });

  it('that is none is refused, with the nearest name', () => {
    const refused = (choice: unknown): unknown => {
      try {
        resolvePatterns(choice as PatternChoice);
      } catch (error) {
        return (error as Error).message;
      }
      return undefined;
    };
    expect(refused(['rope-kv'])).toBe('there is no pattern "rope-kv"; did you mean rope_kv?');
    expect(refused({ swiglu: true })).toBe(
      `there is no pattern "swiglu"; there are ${patternNames.join(', ')}`,
    );
    expect(refused({ linear_nrom: false })).toBe(
      'there is no pattern "linear_nrom"; did you mean linear_norm?',
    );
    expect(refused({ norms: 1 })).toBe('patterns.norms must be true or false, got 1');
    expect(refused(false)).toMatch(/^patterns must be a list of names or an object such as/);
  });

  it('names every pattern of the graph', () => {
    const found = new Set(fusions.map((p) => p.name));
    expect(patternNames.filter((name) => !found.has(name))).toEqual(['elementwise', 'chains']);
  });
});

describe('patterns alone', () => {
  it.each([
    ['Llama', llamaLayer, ['swiglu_mlp', 'merge_linears', 'linear_residual', 'residual_norm', 'rope_kv']],
    ['Qwen3-MoE', qwenMoeLayer, ['rope_norm']],
  ] as const)('change nothing but dispatches: %s', async (_, make, named) => {
    const weights = layerWeights(device);
    const planOf = (patterns?: PatternChoice) =>
      compile(make(weights), { device, inputs: layerInputs, patterns });
    const plain = planOf([]);
    expect(plain.patterns).toEqual({});
    const all = planOf();
    for (const pattern of patternNames) {
      const without = planOf({ [pattern]: false });
      const alone = planOf([pattern]);
      expect(without.patterns[pattern]).toBeUndefined();
      expect(Object.keys(alone.patterns).filter((name) => name !== pattern)).toEqual([]);
      if (all.patterns[pattern] === undefined) continue;
      expect(without.program.dispatches.length, pattern).toBeGreaterThanOrEqual(
        all.program.dispatches.length,
      );
    }
    const want = await runLayer(plain);
    for (const pattern of named) {
      const alone = planOf([pattern]);
      expect(alone.patterns[pattern] ?? 0, pattern).toBeGreaterThan(0);
      expect(alone.program.dispatches.length, pattern).toBeLessThan(plain.program.dispatches.length);
      const got = await runLayer(planOf([pattern]));
      expect(compare(got, want, { absolute: 1e-3, relative: 1e-4 }), pattern).toMatchObject({ ok: true });
    }
  });
});

describe('an addition in front of a norm', () => {
  const inputs = {
    x: { shape: [3, 40], dtype: 'f32' },
    r: { shape: [3, 40], dtype: 'f32' },
    w: { shape: [40], dtype: 'f32' },
  } as const;
  const values = {
    x: Float32Array.from({ length: 120 }, (_, i) => Math.sin(7 * i)),
    r: Float32Array.from({ length: 120 }, (_, i) => Math.cos(3 * i) / 3),
    w: Float32Array.from({ length: 40 }, (_, i) => 1 + i / 40),
  };
  type Given = Readonly<Record<'x' | 'r' | 'w', NDArray>>;

  it.each<[string, (a: Given) => Outputs, number]>([
    ['whose sum goes on', ({ x, r, w }) => [x.add(r).rmsNorm(w, 1e-6), x.add(r).mul(2)], 1],
    ['that nobody else reads', ({ x, r }) => layerNorm(x.add(r), null, null, 1e-5), 1],
    ['again and again', ({ x, r, w }) => x.add(r).rmsNorm(w, 1e-6).add(x).rmsNorm(w, 1e-6), 2],
    ['that broadcasts', ({ x, w }) => x.add(w).rmsNorm(w, 1e-6), 0],
    ['with a weight of the sum', ({ x, r }) => x.add(r).rmsNorm(x.add(r).mean(0), 1e-6), 0],
  ])('%s', async (_, fn, times) => {
    for (const device of [openJsDevice(), await openDevice('cpu')]) {
      const results: number[][] = [];
      for (const patterns of [['residual_norm'], []] as const) {
        const plan = compile(fn, { device, inputs, patterns });
        expect(plan.patterns.residual_norm ?? 0).toBe(patterns.length === 0 ? 0 : times);
        const outputs = await plan.run({ inputs: values });
        results.push((await Promise.all(outputs.map((o) => o.data()))).flatMap((d) => [...d]));
      }
      expect(results[0]).toEqual(results[1]);
      device.dispose();
    }
  });
});

describe('what users write out', () => {
  const inputs = { x: { shape: [3, 8], dtype: 'f32' } } as const;
  const x = Float32Array.from({ length: 24 }, (_, i) => Math.sin(3 * i) + 0.1 * i);
  const row = (shift: number): NDArray =>
    fromData(
      Float32Array.from({ length: 8 }, (_, i) => 1 + Math.cos(i + shift) / 2),
      [8],
      { device },
    );
  const [w, b] = [row(0), row(2)];

  async function kernels(fn: (a: { readonly x: NDArray }) => Outputs) {
    const results: number[][] = [];
    const names: string[][] = [];
    for (const patterns of [['norms', 'router'], []] as const) {
      const plan = compile(fn, { device, inputs, patterns });
      const outputs = await plan.run({ inputs: { x } });
      results.push((await Promise.all(outputs.map((o) => o.data()))).flatMap((d) => [...d]));
      names.push(plan.program.dispatches.map((d) => d.kernel.name));
    }
    expect(compare(results[0] ?? [], results[1] ?? [], { absolute: 1e-6, relative: 1e-5 })).toMatchObject({
      ok: true,
    });
    return names[0];
  }
  const inverse = (y: NDArray): NDArray => y.square().mean(-1, true).add(1e-5).rsqrt();

  it.each<[string, (x: NDArray) => NDArray, readonly string[]]>([
    ['rmsNorm', (x) => x.mul(inverse(x)).mul(w), ['rmsNorm']],
    ['rmsNorm by division', (x) => w.mul(x.div(x.mul(x).mean(-1, true).add(1e-5).sqrt())), ['rmsNorm']],
    [
      'layerNorm',
      (x) =>
        x
          .sub(x.mean(-1, true))
          .mul(inverse(x.sub(x.mean(-1, true))))
          .mul(w)
          .add(b),
      ['layerNorm'],
    ],
    [
      'a mean over another axis',
      (x) => x.mul(x.square().mean(0, true).add(1e-5).rsqrt()),
      ['square', 'mean', 'add', 'rsqrt', 'mul'],
    ],
    [
      'the root of another array',
      (x) => x.mul(inverse(x.add(1))),
      ['add', 'square', 'mean', 'add', 'rsqrt', 'mul'],
    ],
  ])('%s', async (_, f, expected) => {
    expect((await kernels((a) => f(a.x)))?.filter((n) => n !== 'full')).toEqual(expected);
  });

  it('finds routers, normalised or not', async () => {
    const mixed = (weights: NDArray, ids: NDArray): readonly NDArray[] => [weights, ids.cast('f32').mul(2)];
    expect(
      await kernels((a) => {
        const [values, ids] = topk(a.x.softmax(), 3);
        return mixed(values.div(values.sum(-1, true)), ids);
      }),
    ).toContain('moeRoute');
    expect(
      await kernels((a) => {
        const [values, ids] = topk(a.x.softmax(), 3);
        return mixed(values, ids);
      }),
    ).toContain('moeRoute');
    expect(
      await kernels((a) => {
        const [values, ids] = topk(a.x, 3);
        return mixed(values.softmax(), ids);
      }),
    ).toContain('moeRoute');
  });
});

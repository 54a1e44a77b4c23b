// Every function that is made of ops: its gradient against differences, and its batches against a loop.

import { describe, expect, it } from 'vitest';
import { isFloat } from '../../base/dtype.ts';
import { openJsDevice } from '../../device/js/device.ts';
import { expectAllClose } from '../../testing/allclose.ts';
import { randomNumbers } from '../../testing/case-data.ts';
import type { NDArray } from '../array.ts';
import { setDefaultDevice } from '../context.ts';
import { fromData } from '../creation.ts';
import * as a from '../library.ts';
import { tidy } from '../lifetime.ts';
import { grad } from '../transform/grad.ts';
import { vmap } from '../transform/vmap.ts';

setDefaultDevice(openJsDevice());

type F = (x: NDArray) => NDArray;
/** Where the function is smooth: numbers around 0, between -0.9 and 0.9, or from 1.2 to 3. */
type Domain = 'any' | 'unit' | 'above';

const constant = (shape: readonly number[], seed = 5): NDArray => {
  const next = randomNumbers(seed);
  return fromData(
    Float32Array.from({ length: shape.reduce((p, d) => p * d, 1) }, () => next() + 0.5),
    shape,
  );
};
const ids = (...list: number[]): NDArray => fromData(Int32Array.from(list));

const functions: Readonly<Record<string, readonly [F, Domain, (readonly number[])?]>> = {
  arcsin: [a.arcsin, 'unit'],
  arccos: [a.arccos, 'unit'],
  arctan: [a.arctan, 'any'],
  arctanh: [a.arctanh, 'unit'],
  arcsinh: [a.arcsinh, 'any'],
  arccosh: [a.arccosh, 'above'],
  arctan2: [(x) => a.arctan2(x, 2), 'any'],
  'arctan2 below': [(x) => a.arctan2(1, x), 'above'],
  sinh: [a.sinh, 'any'],
  cosh: [a.cosh, 'any'],
  log2: [a.log2, 'above'],
  log10: [a.log10, 'above'],
  exp2: [a.exp2, 'any'],
  cbrt: [a.cbrt, 'above'],
  degrees: [a.degrees, 'any'],
  radians: [a.radians, 'any'],
  sinc: [a.sinc, 'above'],
  hypot: [(x) => a.hypot(x, 1), 'above'],
  xlogy: [(x) => a.xlogy(2, x), 'above'],
  erfinv: [a.erfinv, 'unit'],
  erfc: [a.erfc, 'any'],
  lgamma: [a.lgamma, 'above'],
  logit: [(x) => a.logit(x.mul(0.4).add(0.5)), 'unit'],
  copysign: [(x) => a.copysign(x, -1), 'above'],
  nanToNum: [(x) => a.nanToNum(x), 'any'],
  cumsum: [(x) => a.cumsum(x, 1), 'any'],
  cumprod: [(x) => a.cumprod(x, 0), 'above'],
  cummax: [(x) => a.cummax(x, 1, { reverse: true }), 'any'],
  logcumsumexp: [(x) => a.logcumsumexp(x, 1), 'any'],
  median: [(x) => a.median(x, 1), 'any'],
  percentile: [(x) => a.percentile(x, 30, 0), 'any'],
  variance: [(x) => a.variance(x, 1), 'any'],
  std: [(x) => a.standardDeviation(x, 0, false, 1), 'any'],
  ptp: [(x) => a.ptp(x, 1), 'any'],
  diff: [(x) => a.diff(x), 'any'],
  cov: [(x) => a.cov(x), 'any'],
  nanmean: [(x) => a.nanmean(x, 0), 'any'],
  average: [(x) => a.average(x, 1, constant([4])), 'any'],
  trapezoid: [(x) => a.trapezoid(x), 'any'],
  convolve: [(x) => a.convolve(x.reshape([-1]), constant([3])), 'any'],
  tril: [(x) => a.tril(x), 'any'],
  triu: [(x) => a.triu(x, 1), 'any'],
  diagonal: [(x) => a.diagonal(x, 1), 'any'],
  trace: [(x) => a.trace(x), 'any'],
  roll: [(x) => a.roll(x, 2, 1), 'any'],
  flip: [(x) => a.flip(x), 'any'],
  rot90: [(x) => a.rot90(x), 'any'],
  tile: [(x) => a.tile(x, [2, 1]), 'any'],
  'pad reflect': [(x) => a.pad(x, 1, 'reflect'), 'any'],
  moveaxis: [(x) => a.moveaxis(x, 0, 1), 'any'],
  scatter: [(x) => a.scatter(x, ids(0, 2, 0), constant([3, 4])), 'any'],
  'scatter of x': [(x) => a.scatter(constant([5, 4]), ids(0, 2, 0), x), 'any'],
  'scatter max': [(x) => a.scatter(constant([5, 4]), ids(1, 1, 3), x, 'max'), 'any'],
  'scatter prod': [(x) => a.scatter(constant([5, 4]), ids(1, 1, 3), x, 'prod'), 'above'],
  putAlongAxis: [(x) => a.putAlongAxis(x, ids(1, 0, 2).reshape([3, 1]), constant([3, 1]), 1), 'any'],
  sliceUpdate: [(x) => a.sliceUpdate(constant([4, 4]), x, [0, 3]), 'any'],
  takeAlongAxis: [(x) => a.takeAlongAxis(x, ids(3, 0, 1).reshape([3, 1]), 1), 'any'],
  einsum: [(x) => a.einsum('ij,kj->ik', x, constant([2, 4])), 'any'],
  kron: [(x) => a.kron(x, constant([2])), 'any'],
  tensordot: [(x) => a.tensordot(x, constant([4, 2]), 1), 'any'],
  outer: [(x) => a.outer(x, x), 'any'],
  norm: [(x) => a.linalg.norm(x), 'any'],
  cross: [(x) => a.linalg.cross(x, constant([4, 3])), 'any', [4, 3]],
  inv: [(x) => a.linalg.inv(x.add(a.eye(3).mul(4))), 'unit', [3, 3]],
  det: [(x) => a.linalg.det(x.add(a.eye(3).mul(2))), 'unit', [3, 3]],
  solve: [(x) => a.linalg.solve(x.add(a.eye(3).mul(4)), constant([3])), 'unit', [3, 3]],
  cholesky: [(x) => a.linalg.cholesky(x.matmul(x.transpose()).add(a.eye(3))), 'unit', [3, 3]],
  qr: [(x) => a.linalg.qr(x.add(a.eye(3).mul(2)))[1], 'unit', [3, 3]],
  conv2d: [(x) => a.conv2d(x, constant([2, 2, 2, 1]), { stride: 2, padding: 1 }), 'any', [1, 4, 3, 1]],
  convTranspose1d: [(x) => a.convTranspose1d(x, constant([2, 3, 2]), { stride: 2 }), 'any', [1, 3, 2]],
  maxPool1d: [(x) => a.maxPool1d(x, 2), 'any', [1, 4, 2]],
  avgPool1d: [(x) => a.avgPool1d(x, 2), 'any', [1, 4, 2]],
  selu: [a.selu, 'any'],
  celu: [a.celu, 'any'],
  prelu: [(x) => a.prelu(x, constant([4])), 'any'],
  softsign: [a.softsign, 'any'],
  tanhShrink: [a.tanhShrink, 'any'],
  glu: [(x) => a.glu(x), 'any'],
  mish: [a.mish, 'any'],
  crossEntropy: [(x) => a.losses.crossEntropy(x, ids(0, 3, 1)), 'any'],
  huber: [(x) => a.losses.huberLoss(x, constant([3, 4])), 'any'],
  binaryCrossEntropy: [(x) => a.losses.binaryCrossEntropy(x, constant([3, 4]).mul(0.5)), 'any'],
  attention: [
    (x) => a.fast.scaledDotProductAttention(x, x.mul(0.5), x.add(1), { mask: 'causal' }),
    'any',
    [1, 2, 3, 2],
  ],
  rope: [(x) => a.fast.rope(x, 2, { traditional: true }), 'any'],
};

function input(domain: Domain, shape: readonly number[], seed: number): Float32Array {
  const next = randomNumbers(seed);
  return Float32Array.from({ length: shape.reduce((p, d) => p * d, 1) }, () => {
    const u = next();
    return domain === 'unit' ? 1.8 * u - 0.9 : domain === 'above' ? 1.2 + 1.8 * u : 4 * u - 2;
  });
}

describe('functions made of ops', () => {
  for (const [name, [f, domain, shape = [3, 4]]] of Object.entries(functions)) {
    it(`${name}: gradient`, async () => {
      const data = input(domain, shape, 3);
      const direction = input('any', shape, 4);
      const weighted = (x: NDArray): NDArray => {
        const y = f(x);
        return y.mul(constant(y.shape as readonly number[], 6)).sum();
      };
      const x = fromData(data, shape);
      const g = tidy(() => grad(weighted)(x)) as NDArray;
      const rule = [...(await g.data())].reduce((s, v, i) => s + v * (direction[i] as number), 0);
      const h = 2 ** -7;
      const at = async (t: number): Promise<number> =>
        tidy(() =>
          weighted(
            fromData(
              data.map((v, i) => v + t * (direction[i] as number)),
              shape,
            ),
          ),
        ).item();
      const [fine, coarse] = [
        ((await at(h)) - (await at(-h))) / (2 * h),
        ((await at(2 * h)) - (await at(-2 * h))) / (4 * h),
      ];
      const size = Math.abs(await at(0)) + 1;
      const bound = 4 * Math.abs(fine - coarse) + (size * 2 ** -20) / h + 2e-3 * Math.abs(fine);
      expect(Math.abs(rule - fine), `rule ${rule}, difference ${fine}`).toBeLessThanOrEqual(bound);
    });

    it(`${name}: batch`, async () => {
      const [one, two] = [
        fromData(input(domain, shape, 11), shape),
        fromData(input(domain, shape, 12), shape),
      ];
      const both = tidy(() => vmap(f)(a.stack([one, two])));
      const loop = tidy(() => [f(one), f(two)]);
      const want = [...(await (loop[0] as NDArray).data()), ...(await (loop[1] as NDArray).data())];
      expectAllClose(await both.data(), want, { absolute: 2e-5, relative: 2e-5 }, name);
      expect(isFloat(both.dtype)).toBe(true);
    });
  }
});

describe('random', () => {
  it('gives the words of Threefry as MLX and JAX lay them out', async () => {
    expect(await a.random.split(a.random.key(0)).toList()).toEqual([
      [4146024105, 967050713],
      [2718843009, 1272950319],
    ]);
    expect((await a.random.bits([5], a.random.key(3)).data()).length).toBe(5);
  });

  it('gives the same for a key, other numbers for another, and a sequence without', async () => {
    const k = a.random.key(7);
    const draw = async (key?: NDArray): Promise<number[]> => [
      ...(await a.random.uniform([4], 0, 1, key ? { key } : {}).data()),
    ];
    expect(await draw(k)).toEqual(await draw(k));
    expect(await draw(k)).not.toEqual(await draw(a.random.key(8)));
    a.random.seed(1);
    const first = [await draw(), await draw()];
    a.random.seed(1);
    expect([await draw(), await draw()]).toEqual(first);
    expect(first[0]).not.toEqual(first[1]);
    expect(() => a.random.key(-1)).toThrow(/the seed -1 is not a whole number/);
  });

  it('has the moments of its distributions', async () => {
    const k = a.random.key(5);
    const n = 20000;
    const moments = async (x: NDArray): Promise<readonly [number, number]> => [
      await x.mean().item(),
      await a.variance(x).item(),
    ];
    const near = (got: readonly [number, number], mean: number, variance: number): void => {
      expect(Math.abs(got[0] - mean)).toBeLessThan(5 * Math.sqrt(variance / n));
      expect(Math.abs(got[1] / variance - 1)).toBeLessThan(0.08);
    };
    near(await moments(a.random.uniform([n], -1, 3, { key: k })), 1, 16 / 12);
    near(await moments(a.random.normal([n], 2, 3, { key: k })), 2, 9);
    near(await moments(a.random.gumbel([n], { key: k })), 0.5772157, Math.PI ** 2 / 6);
    near(await moments(a.random.laplace([n], 1, 2, { key: k })), 1, 8);
    near(await moments(a.random.exponential([n], 2, { key: k })), 0.5, 0.25);
    near(await moments(a.random.bernoulli(0.3, [n], k).cast('f32')), 0.3, 0.21);
    const dice = await a.random.randint(1, 7, [n], 'i32', k).data();
    expect(new Set(dice)).toEqual(new Set([1, 2, 3, 4, 5, 6]));
    const cut = await a.random.truncatedNormal(-1, 0.5, [n], { key: k }).data();
    expect(Math.min(...cut)).toBeGreaterThanOrEqual(-1);
    expect(Math.max(...cut)).toBeLessThanOrEqual(0.5);
    const drawn = await a.random
      .categorical(fromData([0, Math.log(3)]), -1, n, k)
      .cast('f32')
      .mean()
      .item();
    expect(Math.abs(drawn - 0.75)).toBeLessThan(0.02);
    expect([...(await a.random.permutation(50, 0, k).sort().data())]).toEqual(
      Array.from({ length: 50 }, (_, i) => i),
    );
  });
});

describe('decompositions', () => {
  const matrix = (m: number, n: number, seed: number): NDArray =>
    fromData(input('any', [m, n], seed), [m, n]);
  const close = async (got: NDArray, want: NDArray): Promise<void> =>
    expectAllClose(await got.data(), [...(await want.data())], { absolute: 2e-4, relative: 2e-4 }, 'matrix');

  it('multiply back to the matrix', async () => {
    for (const [m, n] of [
      [5, 3],
      [3, 5],
      [7, 7],
    ] as const) {
      // biome-ignore format: pairs
      const x = matrix(m, n, m * 10 + n);
      const [q, r] = a.linalg.qr(x);
      await close(q.matmul(r), x);
      await close(q.transpose().matmul(q), a.eye(Math.min(m, n)));
      const [u, s, vt] = a.linalg.svd(x);
      const k = Math.min(m, n);
      await close(
        u
          .slice(null, [0, k])
          .mul(s)
          .matmul(vt.slice([0, k])),
        x,
      );
      await close(u.transpose().matmul(u), a.eye(m));
      await close(vt.matmul(vt.transpose()), a.eye(n));
      const [thin, , wide] = a.linalg.svd(x, { fullMatrices: false });
      await close(thin.mul(s).matmul(wide), x);
      const [order, lower, upper] = a.linalg.lu(x);
      await close(lower.take(order, 0).matmul(upper), x);
      await close(x.matmul(a.linalg.pinv(x)).matmul(x), x);
    }
  });

  it('give orthogonal factors of matrices that have no full rank', async () => {
    for (const x of [a.outer(a.arange(4), a.arange(3)), a.zeros([3, 4])]) {
      const [u, s, vt] = a.linalg.svd(x);
      await close(u.matmul(u.transpose()), a.eye(u.shape[0] as number));
      await close(vt.matmul(vt.transpose()), a.eye(vt.shape[0] as number));
      await close(
        u
          .slice(null, [0, 3])
          .mul(s)
          .matmul(vt.slice([0, 3])),
        x.astype('f32'),
      );
    }
  });

  it('find eigenvectors, also of equal eigenvalues', async () => {
    const x = matrix(8, 8, 3);
    for (const symmetric of [x.add(x.transpose()), a.eye(4), a.eye(6).mul(0)]) {
      const [values, vectors] = a.linalg.eigh(symmetric);
      await close(symmetric.matmul(vectors), vectors.mul(values));
      await close(vectors.transpose().matmul(vectors), a.eye(values.shape[0] as number));
    }
  });
});

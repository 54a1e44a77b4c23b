// Cases of softmax, norms, reductions, scan, indexing and linear.

import type { NDArray } from '../../array/array.ts';
import { arange, fromData } from '../../array/creation.ts';
import { where } from '../../array/ops/elementwise/where.ts';
import { concat } from '../../array/ops/shape/concat.ts';
import * as i from '../../toolkit/catalog/indexing.ts';
import * as l from '../../toolkit/catalog/linear.ts';
import * as n from '../../toolkit/catalog/norms.ts';
import * as r from '../../toolkit/catalog/reductions.ts';
import * as sc from '../../toolkit/catalog/scan.ts';
import * as s from '../../toolkit/catalog/softmax.ts';
import { type Cases, type CatalogCase, ids, positive, values, x } from './case.ts';

type F1 = (p: NDArray) => NDArray;
const one = (
  operand: CatalogCase['operands'][0],
  run: F1,
  want: F1,
  more: Partial<CatalogCase> = {},
): CatalogCase => ({
  operands: [operand],
  run: (p) => run(p as NDArray),
  want: (p) => want(p as NDArray),
  ...more,
});
const shares = (p: NDArray): NDArray => p.exp().div(p.exp().sum(-1, true));

export const softmax: Cases = {
  softmax: one(x(5, 33), (p) => s.softmax(p), shares),
  logSoftmax: one(
    x(5, 33),
    (p) => s.logSoftmax(p),
    (p) => p.sub(p.exp().sum(-1, true).log()),
  ),
  softmaxGradient: {
    operands: [x(4, 20), x(4, 20)],
    run: (y, g) => s.softmaxGradient(y as NDArray, g as NDArray),
    want: (y, g) => {
      const product = (y as NDArray).mul(g as NDArray);
      return product.sub((y as NDArray).mul(product.sum(-1, true)));
    },
  },
  softmin: one(x(4, 21), s.softmin, (p) => shares(p.neg())),
};

const rms = (p: NDArray, w: NDArray): NDArray => p.div(p.mul(p).mean(-1, true).add(1e-6).sqrt()).mul(w);
const unit = (p: NDArray, eps: number): NDArray => {
  const d = p.sub(p.mean(-1, true));
  return d.div(d.mul(d).mean(-1, true).add(eps).sqrt());
};
const layer = (p: NDArray, w: NDArray, b: NDArray): NDArray => unit(p, 1e-5).mul(w).add(b);
const four = [x(3, 24), x(3, 24), x(24), x(24)];

export const norms: Cases = {
  rmsNorm: {
    operands: [x(3, 24), x(24)],
    run: (p, w) => n.rmsNorm(p as NDArray, w as NDArray),
    want: (p, w) => rms(p as NDArray, w as NDArray),
  },
  layerNorm: {
    operands: [x(3, 24), x(24), x(24)],
    run: (p, w, b) => n.layerNorm(p as NDArray, w as NDArray, b as NDArray),
    want: (p, w, b) => layer(p as NDArray, w as NDArray, b as NDArray),
  },
  addRmsNorm: {
    operands: four.slice(0, 3),
    run: (p, q, w) => ({ ...n.addRmsNorm(p as NDArray, q as NDArray, w as NDArray) }),
    want: (p, q, w) => {
      const h = (p as NDArray).add(q as NDArray);
      return { y: rms(h, w as NDArray), h };
    },
  },
  residualRmsNorm: {
    operands: four.slice(0, 3),
    run: (p, q, w) => n.residualRmsNorm(p as NDArray, q as NDArray, w as NDArray),
    want: (p, q, w) => rms((p as NDArray).add(q as NDArray), w as NDArray),
  },
  addLayerNorm: {
    operands: four,
    run: (p, q, w, b) => ({ ...n.addLayerNorm(p as NDArray, q as NDArray, w as NDArray, b as NDArray) }),
    want: (p, q, w, b) => {
      const h = (p as NDArray).add(q as NDArray);
      return { y: layer(h, w as NDArray, b as NDArray), h };
    },
  },
  residualLayerNorm: {
    operands: four,
    run: (p, q, w, b) => n.residualLayerNorm(p as NDArray, q as NDArray, w as NDArray, b as NDArray),
    want: (p, q, w, b) => layer((p as NDArray).add(q as NDArray), w as NDArray, b as NDArray),
  },
  groupNorm: {
    operands: [x(2, 3, 2, 6), x(6), x(6)],
    run: (p, w, b) => n.groupNorm(p as NDArray, 3, w as NDArray, b as NDArray),
    want: (p, w, b) => {
      const g = (p as NDArray).reshape([2, 6, 3, 2]);
      const d = g.sub(g.mean([1, 3], true));
      return d
        .div(d.mul(d).mean([1, 3], true).add(1e-5).sqrt())
        .reshape([2, 3, 2, 6])
        .mul(w as NDArray)
        .add(b as NDArray);
    },
  },
  instanceNorm: {
    operands: [x(2, 7, 4), x(4), x(4)],
    run: (p, w, b) => n.instanceNorm(p as NDArray, w as NDArray, b as NDArray),
    want: (p, w, b) => {
      const d = (p as NDArray).sub((p as NDArray).mean(1, true));
      return d
        .div(d.mul(d).mean(1, true).add(1e-5).sqrt())
        .mul(w as NDArray)
        .add(b as NDArray);
    },
    bound: 1e-4,
  },
  l2Normalize: one(
    x(3, 20),
    (p) => n.l2Normalize(p),
    (p) => p.div(p.mul(p).sum(-1, true).sqrt()),
  ),
  rmsNormGradient: {
    operands: [x(3, 16), x(16), x(3, 16)],
    run: (p, w, g) => n.rmsNormGradient(p as NDArray, w as NDArray, g as NDArray),
    want: (p, w, g) => {
      const inverse = (p as NDArray)
        .mul(p as NDArray)
        .mean(-1, true)
        .add(1e-6)
        .sqrt()
        .reciprocal();
      const hat = (p as NDArray).mul(inverse);
      const gw = (g as NDArray).mul(w as NDArray);
      return inverse.mul(gw.sub(hat.mul(gw.mul(hat).mean(-1, true))));
    },
  },
  headRmsNorm: {
    operands: [x(2, 3, 12), x(4)],
    run: (p, w) => n.headRmsNorm(p as NDArray, w as NDArray),
    want: (p, w) => rms((p as NDArray).reshape([6, 3, 4]), w as NDArray).reshape([2, 3, 12]),
  },
};

const deviations = (p: NDArray, axis = -1): NDArray => p.sub(p.mean(axis, true));
const line = [3.5, -1, 7, 2, 7, 0.25, -1, 5];
export const reductions: Cases = {
  sum: one(
    x(3, 40),
    (p) => r.sum(p),
    (p) => p.matmul(fromData(new Float32Array(40).fill(1), [40, 1])).reshape([3]),
  ),
  mean: one(
    x(3, 40),
    (p) => r.mean(p, 0),
    (p) => p.sum(0).div(3),
  ),
  max: one(
    values(line, 'f32', [2, 4]),
    (p) => r.max(p),
    (p) => p.neg().min(-1).neg(),
  ),
  min: one(
    values(line, 'f32', [2, 4]),
    (p) => r.min(p),
    (p) => p.neg().max(-1).neg(),
  ),
  prod: one(
    positive(3, 6),
    (p) => r.prod(p),
    (p) => p.log().sum(-1).exp(),
  ),
  argmax: one(
    values(line),
    (p) => r.argmax(p),
    () => fromData(Int32Array.from([2]), []),
    { gradient: [] },
  ),
  argmin: one(
    values(line),
    (p) => r.argmin(p),
    () => fromData(Int32Array.from([1]), []),
    { gradient: [] },
  ),
  topk: {
    operands: [values(line)],
    run: (p) => r.topk(p as NDArray, 4),
    want: (p) => {
      const places = fromData(Int32Array.from([2, 4, 7, 0]));
      return [(p as NDArray).take(places), places];
    },
  },
  logSumExp: one(
    x(3, 17),
    (p) => r.logSumExp(p),
    (p) => p.exp().sum(-1).log(),
  ),
  variance: one(
    x(4, 50),
    (p) => r.variance(p),
    (p) => deviations(p).square().mean(-1),
  ),
  standardDeviation: one(
    x(30, 4),
    (p) => r.standardDeviation(p, 0),
    (p) => deviations(p, 0).square().mean(0).sqrt(),
  ),
  l2Norm: one(
    x(4, 19),
    (p) => r.l2Norm(p),
    (p) => p.square().sum(-1).sqrt(),
  ),
  l1Norm: one(
    x(19, 4),
    (p) => r.l1Norm(p, 0),
    (p) => where(p.gt(0), p, p.neg()).sum(0),
  ),
  dotLast: {
    operands: [x(3, 40), x(3, 40)],
    run: (p, q) => r.dotLast(p as NDArray, q as NDArray),
    want: (p, q) =>
      (p as NDArray)
        .reshape([3, 1, 40])
        .matmul((q as NDArray).reshape([3, 40, 1]))
        .reshape([3]),
  },
  standardize: one(
    x(3, 32),
    (p) => r.standardize(p),
    (p) => unit(p, 1e-6),
  ),
};

/** A lower triangle of ones: its product with a column is a running sum. */
const triangle = (d: number): NDArray =>
  arange(d)
    .reshape([1, d])
    .le(arange(d).reshape([d, 1]))
    .cast('f32');
const running = (p: NDArray): NDArray => p.matmul(triangle(p.shape.at(-1) as number).transpose());
const before =
  (d: number, f: (p: NDArray) => NDArray) =>
  (p: NDArray): NDArray =>
    concat(
      Array.from({ length: d }, (_, k) => f(p.slice(null, [0, k + 1])).reshape([-1, 1])),
      1,
    );
export const scan: Cases = {
  cumsum: one(x(3, 9), (p) => sc.cumsum(p), running),
  cumprod: one(
    positive(3, 6),
    (p) => sc.cumprod(p),
    (p) => running(p.log()).exp(),
  ),
  cummax: one(
    values(line, 'f32', [2, 4]),
    (p) => sc.cummax(p),
    before(4, (p) => p.max(1)),
    { gradient: [] },
  ),
  cummin: one(
    x(2, 6),
    (p) => sc.cummin(p),
    before(6, (p) => p.min(1)),
    { gradient: [] },
  ),
  logCumSumExp: one(
    x(3, 7),
    (p) => sc.logCumSumExp(p),
    (p) => running(p.exp()).log(),
  ),
  cumsumGradient: one(
    x(3, 9),
    (p) => sc.cumsumGradient(p),
    (p) => p.matmul(triangle(9)),
  ),
  linearRecurrence: {
    operands: [x(2, 6, 3), x(2, 6, 3)],
    run: (a, b) => sc.linearRecurrence(a as NDArray, b as NDArray),
    want: (a, b) => {
      let h: NDArray | undefined;
      const rows = Array.from({ length: 6 }, (_, t) => {
        const [at, bt] = [(a as NDArray).slice(null, [t, t + 1]), (b as NDArray).slice(null, [t, t + 1])];
        h = h === undefined ? bt : h.mul(at).add(bt);
        return h;
      });
      return concat(rows, 1);
    },
  },
};

const hot = (list: NDArray, count: number): NDArray =>
  list
    .reshape([...list.shape, 1])
    .eq(arange(count))
    .cast('f32');
export const indexing: Cases = {
  gatherAdd: {
    operands: [x(6, 5), ids(6, 4), x(4, 5)],
    run: (p, k, q) => i.gatherAdd(p as NDArray, k as NDArray, q as NDArray),
    want: (p, k, q) =>
      hot(k as NDArray, 6)
        .matmul(p as NDArray)
        .add(q as NDArray),
  },
  gatherScale: {
    operands: [x(6, 5), ids(6, 4), x(4)],
    run: (p, k, q) => i.gatherScale(p as NDArray, k as NDArray, q as NDArray),
    want: (p, k, q) =>
      hot(k as NDArray, 6)
        .mul((q as NDArray).reshape([4, 1]))
        .matmul(p as NDArray),
  },
  scatterAdd: {
    operands: [x(7, 3), ids(4, 7)],
    run: (p, k) => i.scatterAdd(p as NDArray, k as NDArray, 4),
    want: (p, k) =>
      hot(k as NDArray, 4)
        .transpose()
        .matmul(p as NDArray),
  },
  segmentSum: {
    operands: [x(7, 3), values([0, 0, 1, 1, 1, 4, 4], 'i32')],
    run: (p, k) => i.segmentSum(p as NDArray, k as NDArray, 5),
    want: (p, k) =>
      hot(k as NDArray, 5)
        .transpose()
        .matmul(p as NDArray),
  },
  oneHot: {
    operands: [ids(5, 2, 3)],
    run: (k) => i.oneHot(k as NDArray, 5),
    want: (k) => hot(k as NDArray, 5),
  },
  maskedFill: {
    operands: [x(3, 4), { shape: [4], dtype: 'bool', fill: 'bool' }],
    run: (p, m) => i.maskedFill(p as NDArray, (m as NDArray).cast('bool'), -5),
    want: (p, m) =>
      (p as NDArray).mul((m as NDArray).cast('f32').neg().add(1)).sub((m as NDArray).cast('f32').mul(5)),
  },
};

const three = [x(5, 8), x(6, 8), x(6)];
const product = (p: NDArray, w: NDArray): NDArray =>
  p
    .reshape([5, 1, 8])
    .mul(w.reshape([1, -1, 8]))
    .sum(-1);
const sigmoid = (p: NDArray): NDArray => p.neg().exp().add(1).reciprocal();
export const linear: Cases = {
  linearBias: {
    operands: three,
    run: l.linearBias,
    want: (p, w, b) => product(p as NDArray, w as NDArray).add(b as NDArray),
  },
  linearBiasGelu: {
    operands: three,
    run: l.linearBiasGelu,
    want: (p, w, b) => {
      const y = product(p as NDArray, w as NDArray).add(b as NDArray);
      return y.mul(sigmoid(y.add(y.mul(y).mul(y).mul(0.044715)).mul(2 * Math.sqrt(2 / Math.PI))));
    },
  },
  linearBiasSilu: {
    operands: three,
    run: l.linearBiasSilu,
    want: (p, w, b) => {
      const y = product(p as NDArray, w as NDArray).add(b as NDArray);
      return y.mul(sigmoid(y));
    },
  },
  linearRmsNorm: {
    operands: three,
    run: (p, w, g) => l.linearRmsNorm(p as NDArray, w as NDArray, g as NDArray),
    want: (p, w, g) => rms(product(p as NDArray, w as NDArray), g as NDArray),
  },
  linearSwiglu: {
    operands: [x(5, 8), x(6, 8), x(6, 8)],
    run: l.linearSwiglu,
    want: (p, w, u) => {
      const g = product(p as NDArray, w as NDArray);
      return g.mul(sigmoid(g)).mul(product(p as NDArray, u as NDArray));
    },
  },
  loraLinear: {
    operands: [x(5, 8), x(6, 8), x(2, 8), x(6, 2)],
    run: (p, w, a, b) =>
      l.loraLinear(p as NDArray, w as NDArray, { a: a as NDArray, b: b as NDArray, scale: 0.5 }),
    want: (p, w, a, b) =>
      product(p as NDArray, (w as NDArray).add((b as NDArray).matmul(a as NDArray).mul(0.5))),
  },
};

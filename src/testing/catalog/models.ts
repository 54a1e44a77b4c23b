// Cases of attention, rope, loss, moe, quant and image.

import type { NDArray } from '../../array/array.ts';
import { arange, fromData } from '../../array/creation.ts';
import { where } from '../../array/ops/elementwise/where.ts';
import { concat } from '../../array/ops/shape/concat.ts';
import * as at from '../../toolkit/catalog/attention.ts';
import * as im from '../../toolkit/catalog/image.ts';
import * as lo from '../../toolkit/catalog/loss.ts';
import * as mo from '../../toolkit/catalog/moe.ts';
import * as q from '../../toolkit/catalog/quant.ts';
import * as ro from '../../toolkit/catalog/rope.ts';
import { type Cases, ids, positive, values, x } from './case.ts';

const shares = (p: NDArray): NDArray => p.exp().div(p.exp().sum(-1, true));
const seenShares = (p: NDArray, seen: NDArray): NDArray => {
  const e = p.exp().mul(seen.cast('f32'));
  return e.div(e.sum(-1, true).maximum(1e-30));
};
const causalMask = (L: number, S: number): NDArray =>
  arange(S)
    .reshape([1, S])
    .le(
      arange(L)
        .reshape([L, 1])
        .add(S - L),
    );
const heads = (p: NDArray, group: number): NDArray => {
  const [B, H, S, D] = p.shape as [number, number, number, number];
  return p
    .reshape([B, H, 1, S, D])
    .broadcastTo([B, H, group, S, D])
    .reshape([B, H * group, S, D]);
};
const plainAttention = (a: NDArray, k: NDArray, v: NDArray, seen?: NDArray): NDArray => {
  const scores = a.matmul(heads(k, 2).transpose([0, 1, 3, 2])).div(Math.sqrt(8));
  return (seen === undefined ? shares(scores) : seenShares(scores, seen)).matmul(heads(v, 2));
};
const qkv = [x(2, 4, 5, 8), x(2, 2, 8, 8), x(2, 2, 8, 6)];
const flags = {
  shape: [3, 10],
  dtype: 'bool',
  values: Array.from({ length: 30 }, (_, i) => (i >= 20 ? 0 : (i * 7) % 3 > 0 ? 1 : 0)),
} as const;

export const attention: Cases = {
  maskedSoftmax: {
    operands: [x(3, 10), flags],
    run: (p, m) => at.maskedSoftmax(p as NDArray, (m as NDArray).cast('bool')),
    want: (p, m) => seenShares(p as NDArray, m as NDArray),
  },
  scaleMaskSoftmax: {
    operands: [x(2, 3, 10), flags],
    run: (p, m) => at.scaleMaskSoftmax(p as NDArray, (m as NDArray).cast('bool'), 0.3),
    want: (p, m) => seenShares((p as NDArray).mul(0.3), m as NDArray),
  },
  causalSoftmax: {
    operands: [x(2, 4, 9)],
    run: (p) => at.causalSoftmax(p as NDArray),
    want: (p) => seenShares(p as NDArray, causalMask(4, 9)),
  },
  dotProductAttention: {
    operands: qkv,
    run: (a, k, v) => at.dotProductAttention(a as NDArray, k as NDArray, v as NDArray, { mask: 'causal' }),
    want: (a, k, v) => plainAttention(a as NDArray, k as NDArray, v as NDArray, causalMask(5, 8)),
  },
  flashAttention: {
    operands: qkv,
    run: (a, k, v) => [
      at.flashAttention(a as NDArray, k as NDArray, v as NDArray, { block: 4 }),
      at.flashAttention(a as NDArray, k as NDArray, v as NDArray, { block: 4, causal: true }),
    ],
    want: (a, k, v) => [
      plainAttention(a as NDArray, k as NDArray, v as NDArray),
      plainAttention(a as NDArray, k as NDArray, v as NDArray, causalMask(5, 8)),
    ],
  },
  pagedAttention: {
    operands: [
      x(2, 4, 8),
      x(5, 3, 2, 8),
      x(5, 3, 2, 8),
      values([4, 1, 9, 2, 0, 3], 'i32', [2, 3]),
      values([5, 7], 'i32'),
    ],
    run: (a, keys, vals, pages, lengths) =>
      at.pagedAttention({
        q: a as NDArray,
        keys: keys as NDArray,
        values: vals as NDArray,
        pages: pages as NDArray,
        lengths: lengths as NDArray,
      }),
    want: (a, keys, vals) => {
      const rows = (p: NDArray, list: readonly number[], length: number): NDArray =>
        p
          .take(fromData(Int32Array.from(list)), 0)
          .reshape([list.length * 3, 2, 8])
          .slice([0, length])
          .transpose([1, 0, 2])
          .reshape([1, 2, length, 8]);
      const lists: readonly (readonly [readonly number[], number])[] = [
        [[4, 1], 5],
        [[2, 0, 3], 7],
      ];
      return concat(
        lists.map(([list, length], b) =>
          plainAttention(
            (a as NDArray).slice([b, b + 1]).reshape([1, 4, 1, 8]),
            rows(keys as NDArray, list, length),
            rows(vals as NDArray, list, length),
          ).reshape([1, 4, 8]),
        ),
        0,
      );
    },
  },
};

/** A rotation as a product of complex numbers written out: pairs (j, j + h). */
const turnHalf = (p: NDArray, angles: NDArray): NDArray => {
  const h = angles.shape.at(-1) as number;
  const part = (from: number, to: number): NDArray =>
    p.slice(...p.shape.slice(1).map(() => null), [from, to]);
  const [a, b] = [part(0, h), part(h, 2 * h)];
  const length = a.mul(a).add(b.mul(b)).sqrt();
  // By the angle of the pair: sin and cos of sums, from those of the parts.
  const [c, s] = [a.div(length), b.div(length)];
  const [ca, sa] = [angles.cos(), angles.sin()];
  const turned = [c.mul(ca).sub(s.mul(sa)).mul(length), s.mul(ca).add(c.mul(sa)).mul(length)];
  return concat([...turned, part(2 * h, p.shape.at(-1) as number)], -1);
};
const evenOdd = (p: NDArray): NDArray => {
  const [d, rows] = [p.shape.at(-1) as number, p.shape.slice(0, -1)];
  return p
    .reshape([...rows, d / 2, 2])
    .transpose([...rows.map((_, i) => i), rows.length + 1, rows.length])
    .reshape(p.shape);
};
const oddEven = (p: NDArray): NDArray => {
  const [d, rows] = [p.shape.at(-1) as number, p.shape.slice(0, -1)];
  return p
    .reshape([...rows, 2, d / 2])
    .transpose([...rows.map((_, i) => i), rows.length + 1, rows.length])
    .reshape(p.shape);
};
const angleTable = (rows: number, h: number): NDArray =>
  fromData(
    Float32Array.from({ length: rows * h }, (_, i) => Math.floor(i / h) * 10000 ** (-(i % h) / h)),
    [rows, h],
  );
const decode = [x(2, 4, 8), x(2, 2, 8), x(2, 2, 8), values([3, 0], 'i32')];
const stepOf = ([a, k, v, offsets]: readonly NDArray[]) => {
  const [cos, sin] = ro.ropeTables(6, 8);
  return { q: a as NDArray, k: k as NDArray, v: v as NDArray, offsets: offsets as NDArray, cos, sin };
};
const atOffsets = (p: NDArray): NDArray =>
  turnHalf(
    p,
    angleTable(6, 4)
      .take(fromData(Int32Array.from([3, 0])), 0)
      .reshape([2, 1, 4]),
  );

export const rope: Cases = {
  ropeTables: {
    operands: [x(1)],
    run: () => ro.ropeTables(7, 10, { base: 500, scale: 0.5 }),
    want: () => {
      const angle = (i: number): number => Math.floor(i / 5) * 0.5 * 500 ** (-(i % 5) / 5);
      const table = (f: (a: number) => number) =>
        fromData(
          Float32Array.from({ length: 35 }, (_, i) => f(angle(i))),
          [7, 5],
        );
      return [table(Math.cos), table(Math.sin)];
    },
    gradient: [],
  },
  applyRope: {
    operands: [x(2, 6, 11)],
    run: (p) => ro.applyRope(p as NDArray, ...ro.ropeTables(6, 8)),
    want: (p) => turnHalf(p as NDArray, angleTable(6, 4)),
  },
  applyRopeInterleaved: {
    operands: [x(2, 6, 8)],
    run: (p) => ro.applyRopeInterleaved(p as NDArray, ...ro.ropeTables(6, 8)),
    want: (p) => oddEven(turnHalf(evenOdd(p as NDArray), angleTable(6, 4))),
  },
  ropeQueryKey: {
    operands: [x(2, 6, 4, 8), x(2, 6, 2, 8)],
    run: (a, k) => ({ ...ro.ropeQueryKey(a as NDArray, k as NDArray, ...ro.ropeTables(6, 8)) }),
    want: (a, k) => ({
      q: turnHalf(a as NDArray, angleTable(6, 4).reshape([6, 1, 4])),
      k: turnHalf(k as NDArray, angleTable(6, 4).reshape([6, 1, 4])),
    }),
  },
  ropeCacheUpdate: {
    operands: [...decode, x(2, 6, 2, 8), x(2, 6, 2, 8)],
    run: (a, k, v, o, keys, vals) => ({
      ...ro.ropeCacheUpdate(stepOf([a, k, v, o] as NDArray[]), keys as NDArray, vals as NDArray),
    }),
    want: (a, k, v, _, keys, vals) => {
      // Sequence 0 writes row 3, sequence 1 row 0; all others stay.
      const put = (cache: NDArray, row: NDArray): NDArray => {
        const [one, two] = [row.slice([0, 1]).reshape([1, 1, 2, 8]), row.slice([1, 2]).reshape([1, 1, 2, 8])];
        const first = concat([cache.slice([0, 1], [0, 3]), one, cache.slice([0, 1], [4, 6])], 1);
        return concat([first, concat([two, cache.slice([1, 2], [1, 6])], 1)], 0);
      };
      return {
        q: atOffsets(a as NDArray),
        keys: put(keys as NDArray, atOffsets(k as NDArray)),
        values: put(vals as NDArray, v as NDArray),
      };
    },
  },
  pagedRopeCacheUpdate: {
    operands: [...decode, x(4, 2, 2, 8), x(4, 2, 2, 8), values([2, 1, 3, 0], 'i32', [2, 2])],
    run: (a, k, v, o, keys, vals, table) => ({
      ...ro.pagedRopeCacheUpdate(
        stepOf([a, k, v, o] as NDArray[]),
        keys as NDArray,
        vals as NDArray,
        table as NDArray,
      ),
    }),
    want: (a, k, v, _, keys, vals) => {
      // Offset 3 of sequence 0 is place 1 of its page 1, which is page 1; offset 0 of sequence 1 is place 0 of page 3.
      const put = (cache: NDArray, row: NDArray): NDArray => {
        const flat = cache.reshape([8, 2, 8]);
        const rows = [
          flat.slice([0, 3]),
          row.slice([0, 1]),
          flat.slice([4, 6]),
          row.slice([1, 2]),
          flat.slice([7, 8]),
        ];
        return concat(rows, 0).reshape([4, 2, 2, 8]);
      };
      return {
        q: atOffsets(a as NDArray),
        keys: put(keys as NDArray, atOffsets(k as NDArray)),
        values: put(vals as NDArray, v as NDArray),
      };
    },
  },
  ropeConcat: {
    operands: [x(1, 3, 6, 5), x(1, 3, 6, 8), x(1, 1, 6, 5), x(1, 1, 6, 8)],
    run: (a, b, c, d) => ({
      ...ro.ropeConcat(
        { qNope: a as NDArray, qRope: b as NDArray, kNope: c as NDArray, kRope: d as NDArray },
        ...ro.ropeTables(6, 8),
      ),
    }),
    want: (a, b, c, d) => {
      const turned = (p: NDArray): NDArray => oddEven(turnHalf(evenOdd(p), angleTable(6, 4)));
      return {
        queries: concat([a as NDArray, turned(b as NDArray)], -1),
        keys: concat([c as NDArray, turned(d as NDArray)], -1),
      };
    },
  },
};

const hot = (list: NDArray, count: number): NDArray =>
  list
    .reshape([...list.shape, 1])
    .eq(arange(count))
    .cast('f32');
const targets = values([3, 0, 7, -100, 5], 'i32');
const crossEntropy = (logits: NDArray, t: NDArray, s = 0): NDArray => {
  const V = logits.shape.at(-1) as number;
  const want = hot(t, V)
    .mul(1 - s)
    .add(s / V);
  const lost = want.mul(shares(logits).log()).sum(-1).neg();
  return lost.mul(t.ne(-100).cast('f32'));
};
const sigmoid = (p: NDArray): NDArray => p.neg().exp().add(1).reciprocal();
const truth = values([1, 0, 1, 0, 1, 1], 'f32', [2, 3]);
export const loss: Cases = {
  softmaxCrossEntropy: {
    operands: [x(5, 8), targets],
    run: (p, t) =>
      lo.softmaxCrossEntropy(p as NDArray, t as NDArray, { labelSmoothing: 0.1, ignoreIndex: -100 }),
    want: (p, t) => crossEntropy(p as NDArray, t as NDArray, 0.1),
  },
  softmaxCrossEntropyGradient: {
    operands: [x(5, 9), ids(9, 5), x(5)],
    run: (p, t, g) => lo.softmaxCrossEntropyGradient(p as NDArray, t as NDArray, g as NDArray),
    want: (p, t, g) =>
      shares(p as NDArray)
        .sub(hot(t as NDArray, 9))
        .mul((g as NDArray).reshape([5, 1])),
  },
  linearCrossEntropy: {
    operands: [x(5, 6), x(8, 6), targets],
    run: (h, w, t) => [
      lo.linearCrossEntropy(h as NDArray, w as NDArray, t as NDArray, {
        labelSmoothing: 0.2,
        ignoreIndex: -100,
        block: 4,
      }),
      lo.linearCrossEntropy(h as NDArray, w as NDArray, t as NDArray, { ignoreIndex: -100 }),
    ],
    want: (h, w, t) => {
      const logits = (h as NDArray).matmul((w as NDArray).transpose());
      return [crossEntropy(logits, t as NDArray, 0.2), crossEntropy(logits, t as NDArray)];
    },
    bound: 5e-5,
  },
  binaryCrossEntropy: {
    operands: [x(2, 3), truth],
    run: lo.binaryCrossEntropy,
    want: (p, t) => {
      const s = sigmoid(p as NDArray);
      return (t as NDArray)
        .mul(s.log())
        .add((t as NDArray).neg().add(1).mul(s.neg().add(1).log()))
        .neg();
    },
    gradient: [0],
  },
  focalLoss: {
    operands: [x(2, 3), truth],
    run: (p, t) => lo.focalLoss(p as NDArray, t as NDArray, 1.5),
    want: (p, t) => {
      const s = where(
        (t as NDArray).eq(1),
        sigmoid(p as NDArray),
        sigmoid(p as NDArray)
          .neg()
          .add(1),
      );
      return s.neg().add(1).pow(1.5).mul(s.log()).neg();
    },
    gradient: [0],
  },
  huberLoss: {
    operands: [x(20), x(20)],
    run: (p, t) => lo.huberLoss(p as NDArray, t as NDArray, 0.7),
    want: (p, t) => {
      const d = (p as NDArray).sub(t as NDArray);
      const near = d.maximum(-0.7).minimum(0.7);
      return near.mul(d.sub(near.mul(0.5)));
    },
  },
  meanSquaredError: {
    operands: [x(3, 20), x(3, 20)],
    run: lo.meanSquaredError,
    want: (p, t) =>
      (p as NDArray)
        .sub(t as NDArray)
        .square()
        .mean(-1),
  },
  klDivergence: {
    operands: [x(3, 8), x(3, 8)],
    run: lo.klDivergence,
    want: (p, t) => {
      const [a, b] = [shares(p as NDArray), shares(t as NDArray)];
      return a.mul(a.div(b).log()).sum(-1);
    },
  },
};

const logits = values([1, 3, -2, 0.5, 2, 2.5, -1, -3, -1.5, -2, -4, -2.5, -0.25, -6, -7, -1], 'f32', [2, 8]);
const bias = values([0, -5, 0, 0, 0.5, 0, 0, 0]);
const chosen = (p: NDArray, list: readonly number[], k: number): NDArray =>
  hot(fromData(Int32Array.from(list), [2, k]), 8)
    .mul(p.reshape([2, 1, 8]))
    .sum(-1);
const listed = (list: readonly number[], k: number): NDArray => fromData(Int32Array.from(list), [2, k]);
const normal = (w: NDArray): NDArray => w.div(w.sum(-1, true));
const slots = values([2, 0, 1, 2, 0, 3, 2, 1], 'i32', [4, 2]);
export const moe: Cases = {
  routeSoftmax: {
    operands: [logits],
    run: (p) => ({
      w: mo.routeSoftmax(p as NDArray, 3, { normalize: false }).weights,
      v: mo.routeSoftmax(p as NDArray, 3).weights,
      ids: mo.routeSoftmax(p as NDArray, 3).ids,
    }),
    want: (p) => {
      const w = chosen(shares(p as NDArray), [1, 5, 4, 4, 7, 0], 3);
      return { w, v: normal(w), ids: listed([1, 5, 4, 4, 7, 0], 3) };
    },
  },
  routeTopkSoftmax: {
    operands: [logits],
    run: (p) => ({
      w: mo.routeTopkSoftmax(p as NDArray, 3).weights,
      ids: mo.routeTopkSoftmax(p as NDArray, 3).ids,
    }),
    want: (p) => ({
      w: shares(chosen(p as NDArray, [1, 5, 4, 4, 7, 0], 3)),
      ids: listed([1, 5, 4, 4, 7, 0], 3),
    }),
  },
  routeSigmoid: {
    operands: [logits, bias],
    run: (p, b) => {
      const { ids: list, weights } = mo.routeSigmoid(p as NDArray, 2, { bias: b as NDArray, scale: 2.5 });
      return { w: weights, ids: list };
    },
    want: (p) => ({
      w: normal(chosen(sigmoid(p as NDArray), [4, 5, 4, 7], 2)).mul(2.5),
      ids: listed([4, 5, 4, 7], 2),
    }),
    gradient: [0],
  },
  routeSqrtSoftplus: {
    operands: [logits, bias],
    run: (p, b) => {
      const { ids: list, weights } = mo.routeSqrtSoftplus(p as NDArray, 2, {
        bias: b as NDArray,
        normalize: false,
      });
      return { w: weights, ids: list };
    },
    want: (p) => ({
      w: chosen((p as NDArray).exp().add(1).log().sqrt(), [4, 5, 4, 7], 2),
      ids: listed([4, 5, 4, 7], 2),
    }),
    gradient: [0],
  },
  routeGrouped: {
    // Groups of two: of row 0 {0, 1} and {4, 5} are the best, of row 1 {4, 5} and {6, 7}.
    operands: [logits],
    run: (p) => {
      const { ids: list, weights } = mo.routeGrouped(p as NDArray, 3, { groups: 4, topGroups: 2 });
      return { w: weights, ids: list };
    },
    want: (p) => ({
      w: normal(chosen(sigmoid(p as NDArray), [1, 5, 4, 4, 0, 1], 3)),
      ids: listed([1, 5, 4, 4, 0, 1], 3),
    }),
  },
  dispatch: {
    operands: [x(4, 5), slots],
    run: (p, k) => ({ ...mo.dispatch(p as NDArray, k as NDArray, 5) }),
    want: (p) => ({
      rows: (p as NDArray).take(fromData(Int32Array.from([0, 2, 1, 3, 0, 1, 3, 2])), 0),
      order: fromData(Int32Array.from([1, 4, 2, 7, 0, 3, 6, 5])),
      counts: fromData(Int32Array.from([2, 2, 3, 1, 0])),
    }),
  },
  undispatch: {
    operands: [x(8, 5), values([1, 4, 2, 7, 0, 3, 6, 5], 'i32'), x(4, 2)],
    run: (p, o, w) => mo.undispatch(p as NDArray, o as NDArray, w as NDArray),
    want: (p, _, w) => {
      const places = fromData(Int32Array.from([4, 0, 2, 5, 1, 7, 6, 3]));
      return (p as NDArray)
        .take(places, 0)
        .reshape([4, 2, 5])
        .mul((w as NDArray).reshape([4, 2, 1]))
        .sum(1);
    },
  },
  combine: {
    operands: [x(4, 3, 8), x(4, 3)],
    run: (p, w) => mo.combine(p as NDArray, w as NDArray),
    want: (p, w) =>
      (w as NDArray)
        .reshape([4, 1, 3])
        .matmul(p as NDArray)
        .reshape([4, 8]),
  },
  gatherMatmul: {
    operands: [x(3, 2, 4), x(5, 4, 6), ids(5, 3)],
    run: (p, w, k) => mo.gatherMatmul(p as NDArray, w as NDArray, k as NDArray),
    want: (p, w, k) =>
      (p as NDArray).matmul(
        hot(k as NDArray, 5)
          .matmul((w as NDArray).reshape([5, 24]))
          .reshape([3, 4, 6]),
      ),
  },
  loadBalanceLoss: {
    operands: [x(4, 8), values([2, 0, 1, 2, 0, 3, 2, 1], 'i32', [4, 2])],
    run: (p, k) => mo.loadBalanceLoss(p as NDArray, k as NDArray),
    want: (p, k) =>
      hot(k as NDArray, 8)
        .sum([0, 1])
        .mul(shares(p as NDArray).sum(0))
        .sum()
        .mul(8 / 8 / 4),
  },
};

const codes = values([1, -128, 127, 0, 5, -6, 40, 80], 'i8', [2, 4]);
const nibbled = values([0x21, 0xf8, 0x07, 0xa4], 'u8', [2, 2]);
const unpacked = [1, 2, 8, 15, 7, 0, 4, 10];
const floats = (list: readonly number[], ...shape: number[]): NDArray =>
  fromData(Float32Array.from(list), shape);
/** Codes 0, 5, 10, … modulo 2^bits as a stream of bits. */
function stream(bits: number): { readonly list: readonly number[]; readonly words: readonly number[] } {
  const list = Array.from({ length: 64 }, (_, i) => (i * 5) % 2 ** bits);
  let all = 0n;
  list.forEach((v, i) => {
    all |= BigInt(v) << BigInt(i * bits);
  });
  const words = Array.from({ length: 2 * bits }, (_, w) => Number((all >> BigInt(32 * w)) & 0xffffffffn));
  return { list, words };
}
const affineCase = (bits: number): Cases[string] => {
  const { list, words } = stream(bits);
  return {
    operands: [values(words, 'u32', [1, words.length]), x(1, 2), x(1, 2)],
    run: (c, s, b) => q.dequantizeAffine(c as NDArray, s as NDArray, b as NDArray, { bits, groupSize: 32 }),
    want: (_, s, b) =>
      floats(list, 1, 2, 32)
        .mul((s as NDArray).reshape([1, 2, 1]))
        .add((b as NDArray).reshape([1, 2, 1]))
        .reshape([1, 64]),
  };
};
const roundTrip = (bits: number): Cases[string] => ({
  operands: [x(3, 64)],
  run: (p) => {
    const back = q.dequantizeAffine(...q.quantizeAffine(p as NDArray, { bits, groupSize: 32 }), {
      bits,
      groupSize: 32,
    });
    const groups = (p as NDArray).reshape([6, 32]);
    const step = groups
      .max(-1)
      .sub(groups.min(-1))
      .div(2 ** bits - 1)
      .maximum(1e-7);
    return back
      .sub(p as NDArray)
      .abs()
      .reshape([6, 32])
      .max(-1)
      .le(step.mul(bits === 4 ? 1 : 0.5001))
      .cast('i32');
  },
  want: () => fromData(new Int32Array(6).fill(1)),
  gradient: [],
});
const silu = (p: NDArray): NDArray => p.mul(sigmoid(p));

export const quant: Cases = {
  dequantizeInt8: {
    operands: [codes, positive(2, 1)],
    run: (c, s) => q.dequantizeInt8(c as NDArray, s as NDArray),
    want: (c, s) => (c as NDArray).cast('f32').mul(s as NDArray),
  },
  dequantizeSiluInt8: {
    operands: [codes, values([0.02])],
    run: (c, s) => q.dequantizeSiluInt8(c as NDArray, s as NDArray),
    want: (c, s) => silu((c as NDArray).cast('f32').mul(s as NDArray)),
  },
  quantizeInt8: {
    operands: [values([0.5, -2, 1, 0, 0, 0, 0, 0], 'f32', [2, 4])],
    run: (p) => ({
      codes: q.quantizeInt8(p as NDArray).codes.cast('i32'),
      scales: q.quantizeInt8(p as NDArray).scales,
    }),
    want: () => ({
      codes: fromData(Int32Array.from([32, -127, 64, 0, 0, 0, 0, 0]), [2, 4]),
      scales: floats([2 / 127, 1], 2, 1),
    }),
    gradient: [],
  },
  dequantizeInt4: {
    operands: [nibbled, x()],
    run: (c, s) => [
      q.dequantizeInt4(c as NDArray, s as NDArray),
      q.dequantizeInt4(c as NDArray, 1, { zero: 0 }),
    ],
    want: (_, s) => [
      floats(unpacked, 2, 4)
        .sub(8)
        .mul(s as NDArray),
      floats(unpacked, 2, 4),
    ],
  },
  dequantizeBlockwise: {
    operands: [codes, x(2, 2), nibbled],
    run: (c, s, four) => [
      q.dequantizeBlockwise(c as NDArray, s as NDArray, { block: 2 }),
      q.dequantizeBlockwise(four as NDArray, s as NDArray, { block: 2, bits: 4 }),
    ],
    want: (c, s) => {
      const wide = (s as NDArray).reshape([2, 2, 1]).broadcastTo([2, 2, 2]).reshape([2, 4]);
      return [(c as NDArray).cast('f32').mul(wide), floats(unpacked, 2, 4).sub(8).mul(wide)];
    },
  },
  ...Object.fromEntries([3, 2, 4, 5, 6, 8].map((bits) => [`dequantizeAffine ${bits}`, affineCase(bits)])),
  ...Object.fromEntries([3, 4, 6].map((bits) => [`quantizeAffine ${bits}`, roundTrip(bits)])),
  dequantizeFp8: {
    operands: [values([0x00, 0x01, 0x08, 0x38, 0x7e, 0xb9, 0x80], 'u8'), values([2])],
    run: (c, s) => [q.dequantizeFp8(c as NDArray, s as NDArray), q.dequantizeFp8(c as NDArray, 1, 'e5m2')],
    want: () => [
      floats([0, 2 * 2 ** -9, 2 * 2 ** -6, 2, 896, -2.25, 0], 7),
      floats([0, 2 ** -16, 2 ** -13, 0.5, Number.NaN, -0.625, 0], 7),
    ],
    gradient: [],
  },
  dequantizeNf4: {
    operands: [values([0x70, 0xf8, 0x10, 0x0f], 'u8', [2, 2]), values([2, 3, 0.5, 4], 'f32', [2, 2])],
    run: (c, s) => q.dequantizeNf4(c as NDArray, s as NDArray, { block: 2 }),
    want: () => floats([-2, 0, 3 * 0.07958029955625534, 3, -0.5, 0.5 * -0.6961928009986877, 4, -4], 2, 4),
    gradient: [],
  },
  quantizeNf4: {
    operands: [values([-2, 0.1, 2, 1.2, 0, 0, 0, 0], 'f32', [2, 4])],
    run: (p) => ({
      codes: q.quantizeNf4(p as NDArray, { block: 4 }).codes.cast('i32'),
      scales: q.quantizeNf4(p as NDArray, { block: 4 }).scales,
    }),
    want: () => ({
      codes: fromData(Int32Array.from([0x80, 0xdf, 0x77, 0x77]), [2, 2]),
      scales: floats([2, 0], 2, 1),
    }),
    gradient: [],
  },
  dequantizeMxfp4: {
    operands: [
      values(
        Array.from({ length: 16 }, (_, i) => i * 17),
        'u8',
        [1, 16],
      ),
      values([128], 'u8', [1, 1]),
    ],
    run: (c, s) => q.dequantizeMxfp4(c as NDArray, s as NDArray),
    want: () =>
      floats(
        [0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6].flatMap((v) => [2 * v, 2 * v]),
        1,
        32,
      ),
  },
  quantizeMxfp4: {
    operands: [
      values(
        Array.from({ length: 32 }, (_, i) => [0, 1, -2, 3.1, 4, 6, -12, 9][i % 8] as number),
        'f32',
        [1, 32],
      ),
    ],
    run: (p) => {
      const { codes: c, scales } = q.quantizeMxfp4(p as NDArray);
      return { numbers: q.dequantizeMxfp4(c, scales), scales: scales.cast('i32') };
    },
    want: () => ({
      numbers: floats(
        Array.from({ length: 32 }, (_, i) => [0, 1, -2, 3, 4, 6, -12, 8][i % 8] as number),
        1,
        32,
      ),
      scales: fromData(Int32Array.from([128]), [1, 1]),
    }),
    gradient: [],
  },
  quantizedSwiglu: {
    operands: [codes, positive(2, 2), codes, positive(2, 2)],
    run: (g, s, u, r) =>
      q.quantizedSwiglu(
        { codes: g as NDArray, scales: (s as NDArray).mul(0.02) },
        { codes: u as NDArray, scales: r as NDArray },
        { block: 2 },
      ),
    want: (g, s, u, r) => {
      const wide = (p: NDArray): NDArray => p.reshape([2, 2, 1]).broadcastTo([2, 2, 2]).reshape([2, 4]);
      return silu((g as NDArray).cast('f32').mul(wide((s as NDArray).mul(0.02))))
        .mul((u as NDArray).cast('f32'))
        .mul(wide(r as NDArray));
    },
    bound: 5e-5,
  },
  affineMatmul: {
    operands: [x(3, 64), values(stream(3).words, 'u32', [1, 6]), x(1, 2), x(1, 2)],
    run: (p, c, s, b) =>
      q.affineMatmul(
        p as NDArray,
        { codes: c as NDArray, scales: s as NDArray, biases: b as NDArray },
        { bits: 3, groupSize: 32 },
      ),
    want: (p, _, s, b) => {
      const w = floats(stream(3).list, 1, 2, 32)
        .mul((s as NDArray).reshape([1, 2, 1]))
        .add((b as NDArray).reshape([1, 2, 1]))
        .reshape([1, 64]);
      return (p as NDArray).mul(w).sum(-1, true);
    },
    bound: 2e-4,
  },
  fakeQuantize: {
    operands: [values([0, 0.3, 1, 3, -1, 0, 0.4, 0.5], 'f32', [2, 4])],
    run: (p) => q.fakeQuantize(p as NDArray, { bits: 2, groupSize: 4 }),
    want: (p) =>
      floats([0, 0, 1, 3, -1, 0, 0.5, 0.5], 2, 4).add(
        (p as NDArray).sub(floats([0, 0.3, 1, 3, -1, 0, 0.4, 0.5], 2, 4)),
      ),
  },
};

export const image: Cases = {
  resizeBilinear: {
    operands: [x(1, 2, 3, 2)],
    run: (p) => im.resizeBilinear(p as NDArray, 4, 3),
    want: (p) => {
      // Rows at -0.25, 0.25, 0.75 and 1.25 of two: the ends are clamped.
      const mix = floats([1, 0, 0.75, 0.25, 0.25, 0.75, 0, 1], 4, 2);
      return mix.matmul((p as NDArray).reshape([2, 6])).reshape([1, 4, 3, 2]);
    },
  },
  resizeNearest: {
    operands: [x(1, 2, 3, 2)],
    run: (p) => im.resizeNearest(p as NDArray, 4, 2),
    want: (p) =>
      (p as NDArray)
        .take(fromData(Int32Array.from([0, 0, 1, 1])), 1)
        .take(fromData(Int32Array.from([0, 1])), 2),
  },
  depthwiseConv3x3: {
    operands: [x(2, 4, 5, 3), x(3, 3, 3)],
    run: (p, k) => im.depthwiseConv3x3(p as NDArray, k as NDArray),
    want: (p, k) => {
      const wide = (p as NDArray).pad(1, 1, 1).pad(2, 1, 1);
      let sum: NDArray | undefined;
      for (let i = 0; i < 3; i++) {
        for (let j = 0; j < 3; j++) {
          const term = wide
            .slice(null, [i, i + 4], [j, j + 5])
            .mul((k as NDArray).slice([i, i + 1], [j, j + 1]).reshape([3]));
          sum = sum === undefined ? term : sum.add(term);
        }
      }
      return sum as NDArray;
    },
  },
  maxPool2d: {
    operands: [x(1, 4, 6, 2)],
    run: (p) => im.maxPool2d(p as NDArray, 2),
    want: (p) => (p as NDArray).reshape([1, 2, 2, 3, 2, 2]).max([2, 4]),
  },
  avgPool2d: {
    operands: [x(1, 4, 6, 2)],
    run: (p) => im.avgPool2d(p as NDArray, 2),
    want: (p) => (p as NDArray).reshape([1, 2, 2, 3, 2, 2]).mean([2, 4]),
  },
  pixelShuffle: {
    operands: [x(1, 2, 2, 8)],
    run: (p) => im.pixelShuffle(p as NDArray, 2),
    want: (p) => {
      const list: number[] = [];
      for (let h = 0; h < 4; h++)
        for (let w = 0; w < 4; w++)
          for (let c = 0; c < 2; c++)
            list.push((Math.floor(h / 2) * 2 + Math.floor(w / 2)) * 8 + (c * 2 + (h % 2)) * 2 + (w % 2));
      return (p as NDArray)
        .reshape([32])
        .take(fromData(Int32Array.from(list)))
        .reshape([1, 4, 4, 2]);
    },
  },
};

// Cases of activations, transformer, vlsp, optimizers and bits.

import type { NDArray } from '../../array/array.ts';
import { fromData, full } from '../../array/creation.ts';
import { where } from '../../array/ops/elementwise/where.ts';
import * as a from '../../toolkit/catalog/activations.ts';
import * as b from '../../toolkit/catalog/bits.ts';
import * as o from '../../toolkit/catalog/optimizers.ts';
import * as t from '../../toolkit/catalog/transformer.ts';
import * as v from '../../toolkit/catalog/vlsp.ts';
import { type Cases, type CatalogCase, positive, values, x } from './case.ts';

const numbers = values([-40, -6, -2.5, -1, -0.3, 0.1, 0.7, 1.5, 4, 7, 30, 90]);
const one = (
  run: (x: NDArray) => NDArray,
  want: (x: NDArray) => NDArray,
  operand = numbers,
): CatalogCase => ({
  operands: [operand],
  run: (p) => run(p as NDArray),
  want: (p) => want(p as NDArray),
});
const sigmoid = (p: NDArray): NDArray =>
  p
    .abs()
    .neg()
    .exp()
    .add(1)
    .reciprocal()
    .mul(where(p.gt(0), 1, p.abs().neg().exp()));
const tanhOf = (p: NDArray): NDArray => sigmoid(p.mul(2)).mul(2).sub(1);
const geluTanh = (p: NDArray): NDArray =>
  p.mul(sigmoid(p.add(p.mul(p).mul(p).mul(0.044715)).mul(2 * Math.sqrt(2 / Math.PI))));
const softplus = (p: NDArray): NDArray => where(p.gt(20), p, p.minimum(20).exp().add(1).log());
const small = values([-3, -1.5, -0.2, 0.4, 1, 2.25]);

export const activations: Cases = {
  exp: one(a.exp, (p) => fromData(new Float32Array([Math.E])).pow(p), small),
  log: one(a.log, (p) => p.log1p().add(p.div(p.add(1)).log()), positive(9)),
  tanh: one(a.tanh, tanhOf, small),
  sigmoid: one(a.sigmoid, sigmoid, small),
  relu: one(a.relu, (p) => where(p.gt(0), p, 0)),
  reluSquared: one(a.reluSquared, (p) => where(p.gt(0), p.mul(p), 0)),
  silu: one(a.silu, (p) => p.mul(sigmoid(p))),
  gelu: one(a.gelu, (p) => p.mul(p.mul(Math.SQRT1_2).erf().add(1)).mul(0.5)),
  geluTanh: one(a.geluTanh, geluTanh, small),
  geluFast: one(a.geluFast, (p) => p.mul(sigmoid(p.mul(1.702)))),
  softplus: one(a.softplus, softplus, small),
  logSigmoid: one(a.logSigmoid, (p) => softplus(p.neg()).neg(), small),
  mish: one(a.mish, (p) => p.mul(tanhOf(softplus(p))), small),
  softsign: one(a.softsign, (p) => p.mul(p.abs().add(1).reciprocal())),
  hardSwish: one(a.hardSwish, (p) => p.mul(p.add(3).maximum(0).minimum(6)).mul(1 / 6)),
  hardSigmoid: one(a.hardSigmoid, (p) =>
    p
      .mul(1 / 6)
      .add(0.5)
      .maximum(0)
      .minimum(1),
  ),
  selu: one(
    a.selu,
    (p) => where(p.gt(0), p.mul(1.0507009873554805), p.minimum(0).exp().sub(1).mul(1.7580993408473766)),
    small,
  ),
  elu: one(
    (p) => a.elu(p, 1.5),
    (p) => where(p.gt(0), p, p.minimum(0).exp().sub(1).mul(1.5)),
  ),
  celu: one(
    (p) => a.celu(p, 2),
    (p) => where(p.gt(0), p, p.minimum(0).div(2).exp().sub(1).mul(2)),
    small,
  ),
  leakyRelu: one(
    (p) => a.leakyRelu(p, 0.1),
    (p) => p.maximum(p.mul(0.1)),
  ),
};

const half = (p: NDArray, k: number): NDArray => {
  const d = (p.shape.at(-1) as number) / 2;
  return p.slice(...p.shape.slice(1).map(() => null), [k * d, (k + 1) * d]);
};
const gate = (run: (x: NDArray) => NDArray, act: (x: NDArray) => NDArray): CatalogCase => ({
  operands: [x(3, 12)],
  run: (p) => run(p as NDArray),
  want: (p) => act(half(p as NDArray, 0)).mul(half(p as NDArray, 1)),
});
const two = (run: (g: NDArray, u: NDArray) => NDArray, act: (x: NDArray) => NDArray): CatalogCase => ({
  operands: [x(3, 7), x(3, 7)],
  run: (g, u) => run(g as NDArray, u as NDArray),
  want: (g, u) => act(g as NDArray).mul(u as NDArray),
});
const silu = (p: NDArray): NDArray => p.mul(sigmoid(p));
const relu = (p: NDArray): NDArray => where(p.gt(0), p, 0);
/** The hash of dropout's bits, in numbers. */
function dropped(rows: number, columns: number, key: readonly number[], p: number): Float32Array {
  const hash = (h0: number): number => {
    let h = h0 >>> 0;
    h = Math.imul(h ^ (h >>> 16), 0x7feb352d) >>> 0;
    h = Math.imul(h ^ (h >>> 15), 0x846ca68b) >>> 0;
    return (h ^ (h >>> 16)) >>> 0;
  };
  return Float32Array.from({ length: rows * columns }, (_, i) => {
    const word = hash(hash((i + (key[0] as number)) >>> 0) ^ (key[1] as number));
    return (word >>> 8) / 2 ** 24 < p ? 0 : 1 / (1 - p);
  });
}
const key = values([4_000_000_000, 77], 'u32');
const mask = (rows: number, columns: number, p: number): NDArray =>
  fromData(dropped(rows, columns, [4_000_000_000, 77], p), [rows, columns]);
const rms = (p: NDArray, w: NDArray): NDArray => p.div(p.mul(p).mean(-1, true).add(1e-6).sqrt()).mul(w);
const layer = (p: NDArray, w: NDArray, c: NDArray): NDArray => {
  const d = p.sub(p.mean(-1, true));
  return d.div(d.mul(d).mean(-1, true).add(1e-5).sqrt()).mul(w).add(c);
};

export const transformer: Cases = {
  swigluPair: two(t.swigluPair, silu),
  gegluPair: two(t.gegluPair, geluTanh),
  regluPair: two(t.regluPair, relu),
  swiglu: gate(t.swiglu, silu),
  geglu: gate(t.geglu, geluTanh),
  reglu: gate(t.reglu, relu),
  glu: {
    operands: [x(4, 10)],
    run: (p) => t.glu(p as NDArray),
    want: (p) => half(p as NDArray, 0).mul(sigmoid(half(p as NDArray, 1))),
  },
  biasSwiglu: {
    operands: [x(3, 12), x(12)],
    run: (p, q) => t.biasSwiglu(p as NDArray, q as NDArray),
    want: (p, q) =>
      silu(half((p as NDArray).add(q as NDArray), 0)).mul(half((p as NDArray).add(q as NDArray), 1)),
  },
  biasGeglu: {
    operands: [x(3, 12), x(12)],
    run: (p, q) => t.biasGeglu(p as NDArray, q as NDArray),
    want: (p, q) =>
      geluTanh(half((p as NDArray).add(q as NDArray), 0)).mul(half((p as NDArray).add(q as NDArray), 1)),
  },
  addBias: { operands: [x(3, 5), x(5)], run: t.addBias, want: (p, q) => (q as NDArray).add(p as NDArray) },
  biasGeluTanh: {
    operands: [x(3, 5), x(5)],
    run: t.biasGeluTanh,
    want: (p, q) => geluTanh((q as NDArray).add(p as NDArray)),
  },
  biasSilu: {
    operands: [x(3, 5), x(5)],
    run: t.biasSilu,
    want: (p, q) => silu((q as NDArray).add(p as NDArray)),
  },
  softcap: {
    operands: [x(17)],
    run: (p) => t.softcap(p as NDArray, 0.7),
    want: (p) => tanhOf((p as NDArray).div(0.7)).mul(0.7),
  },
  clampedSwiglu: {
    operands: [values([-9, -1, 2, 8, 12]), values([3, -8, 9, 0.5, -1])],
    run: (p, q) => t.clampedSwiglu(p as NDArray, q as NDArray),
    want: (p, q) => {
      const g = where((p as NDArray).lt(7), p as NDArray, 7);
      return g.mul(sigmoid(g.mul(1.702))).mul((q as NDArray).maximum(-7).minimum(7).add(1));
    },
  },
  dropout: {
    operands: [x(6, 50), key],
    run: (p, k) => t.dropout(p as NDArray, 0.3, k as NDArray),
    want: (p) => (p as NDArray).mul(mask(6, 50, 0.3)),
  },
  rmsNormDropout: {
    operands: [x(4, 16), x(16), key],
    run: (p, w, k) => t.rmsNormDropout(p as NDArray, w as NDArray, 0.5, k as NDArray),
    want: (p, w) => rms(p as NDArray, w as NDArray).mul(mask(4, 16, 0.5)),
  },
  layerNormDropout: {
    operands: [x(4, 16), x(16), x(16), key],
    run: (p, w, c, k) =>
      t.layerNormDropout(p as NDArray, { w: w as NDArray, b: c as NDArray, p: 0.25, key: k as NDArray }),
    want: (p, w, c) => layer(p as NDArray, w as NDArray, c as NDArray).mul(mask(4, 16, 0.25)),
  },
  scaledResidual: {
    operands: [x(3, 4), x(3, 4)],
    run: (p, q) => t.scaledResidual(p as NDArray, q as NDArray, 0.22),
    want: (p, q) => (q as NDArray).mul(0.22).add(p as NDArray),
  },
};

export const vlsp: Cases = {
  siluMulResidual: {
    operands: [x(3, 5), x(3, 5), x(3, 5)],
    run: (p, q, r) => v.siluMulResidual(p as NDArray, q as NDArray, r as NDArray),
    want: (p, q, r) =>
      silu(p as NDArray)
        .mul(q as NDArray)
        .add(r as NDArray),
  },
  recurrentStep: {
    operands: [x(3, 16), x(16), x(3, 16), x()],
    run: (h, w, g, s) => v.recurrentStep(h as NDArray, w as NDArray, g as NDArray, s as NDArray),
    want: (h, w, g, s) =>
      silu(rms(h as NDArray, w as NDArray))
        .mul(g as NDArray)
        .mul(s as NDArray)
        .add(h as NDArray),
  },
  depthGate: {
    operands: [x(9)],
    run: (p) => v.depthGate(p as NDArray),
    want: (p) => sigmoid(p as NDArray).mul(8),
  },
  grpoAdvantage: {
    operands: [x(4, 12)],
    run: (p) => v.grpoAdvantage(p as NDArray),
    want: (p) => {
      const d = (p as NDArray).sub((p as NDArray).mean(-1, true));
      return d.div(d.mul(d).mean(-1, true).sqrt().add(1e-6));
    },
  },
};

const state = [x(5, 3), x(5, 3), x(5, 3), positive(5, 3)];
function adam(decoupled: boolean, decay: number) {
  return (p: NDArray, g0: NDArray, m0: NDArray, v0: NDArray): Readonly<Record<'p' | 'm' | 'v', NDArray>> => {
    const g = decoupled ? g0 : g0.add(p.mul(decay));
    const m = m0.mul(0.9).add(g.mul(0.1));
    const w = v0.mul(0.999).add(g.mul(g).mul(0.001));
    const change = m.div(1 - 0.9 ** 3).div(
      w
        .div(1 - 0.999 ** 3)
        .sqrt()
        .add(1e-8),
    );
    const whole = decoupled ? change.add(p.mul(decay)) : change;
    return { p: p.sub(whole.mul(0.01)), m, v: w };
  };
}
const call = ([p, g, m, w]: NDArray[]) => ({
  p: p as NDArray,
  g: g as NDArray,
  m: m as NDArray,
  v: w as NDArray,
  learningRate: full([], 0.01),
  step: full([], 3),
});

export const optimizers: Cases = {
  adamwStep: {
    operands: state,
    run: (...s) => ({ ...o.adamwStep(call(s), { weightDecay: 0.1 }) }),
    want: (p, g, m, w) => adam(true, 0.1)(p as NDArray, g as NDArray, m as NDArray, w as NDArray),
    gradient: [],
  },
  adamStep: {
    operands: state,
    run: (...s) => ({ ...o.adamStep(call(s), { weightDecay: 0.2 }) }),
    want: (p, g, m, w) => adam(false, 0.2)(p as NDArray, g as NDArray, m as NDArray, w as NDArray),
    gradient: [],
  },
  lionStep: {
    operands: state.slice(0, 3),
    run: (...s) => ({ ...o.lionStep(call(s), { weightDecay: 0.1 }) }),
    want: (p, g, m) => {
      const [q, h, n] = [p, g, m] as [NDArray, NDArray, NDArray];
      return {
        p: q.sub(n.mul(0.9).add(h.mul(0.1)).sign().add(q.mul(0.1)).mul(0.01)),
        m: n.mul(0.99).add(h.mul(0.01)),
      };
    },
    gradient: [],
  },
  sgdStep: {
    operands: state.slice(0, 3),
    run: (...s) => ({ ...o.sgdStep(call(s), { momentum: 0.8, weightDecay: 0.1 }) }),
    want: (p, g, m) => {
      const next = (m as NDArray)
        .mul(0.8)
        .add(g as NDArray)
        .add((p as NDArray).mul(0.1));
      return { p: (p as NDArray).sub(next.mul(0.01)), m: next };
    },
    gradient: [],
  },
};

const flags = [1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const words = [0, 1, 0xffffffff, 0x80000001, 0x12345678, 0x0f0f0f0f];
const bitCount = (w: number): number => w.toString(2).replaceAll('0', '').length;
export const bits: Cases = {
  packBits: {
    operands: [values(flags)],
    run: (p) => b.packBits(p as NDArray).cast('i32'),
    want: () => fromData(Int32Array.from([0b01011001, 0b10000000])),
    gradient: [],
  },
  unpackBits: {
    operands: [values([0b01011001, 0b10000000], 'u8')],
    run: (p) => b.unpackBits(p as NDArray, [5, 3]).cast('i32'),
    want: () => fromData(Int32Array.from(flags.slice(0, 15)), [5, 3]),
  },
  popcount: {
    operands: [values(words, 'u32')],
    run: (p) => b.popcount(p as NDArray),
    want: () => fromData(Uint32Array.from(words.map(bitCount))),
  },
  hammingDistance: {
    operands: [values(words, 'u32', [2, 3]), values(words.toReversed(), 'u32', [2, 3])],
    run: (p, q) => b.hammingDistance(p as NDArray, q as NDArray),
    want: () => {
      const apart = words.map((w, i) => bitCount((w ^ (words.at(-1 - i) as number)) >>> 0));
      return fromData(Uint32Array.from([0, 3].map((k) => apart.slice(k, k + 3).reduce((s, n) => s + n))));
    },
  },
};

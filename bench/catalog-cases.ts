// Operands of every kernel of the catalog for its benchmark row: 16 x 1024 x 1024 elements where it is about memory.

import type { Outputs } from '../src/array/compile.ts';
import { Weight } from '../src/array/weight.ts';
import type { DType } from '../src/base/dtype.ts';
import type { Device } from '../src/device/device.ts';
import { packedBytes } from '../src/quant/layout.ts';
import type { BenchOperand } from '../src/testing/bench.ts';
import { catalogCases } from '../src/testing/catalog/index.ts';
import * as catalog from '../src/toolkit/catalog/index.ts';

// biome-ignore lint/suspicious/noExplicitAny: as many arrays as there are operands
type Run = (...xs: any[]) => Outputs;

/** A row: operands, what runs, and plain operations beside it; without them its own, one by one. */
export interface BenchRow {
  readonly operands: readonly BenchOperand[];
  readonly run: Run;
  readonly plain?: Run;
  /** Of packed weights it reads beside its operands. */
  readonly weightBytes?: number;
}

const N = 16 * 1024;
const D = 1024;
const whole = [N, D];
const row = [D];
const of = (dtype: DType, ...shape: number[]): BenchOperand => ({ shape, dtype });
const key = of('u32', 2);
const { attention, bits, image, indexing, linear, loss, moe, norms, quant, reductions, rope, scan, softmax } =
  catalog;

/** Kernels whose cases take operands of any size: by module, with the operands. */
const sized: readonly (readonly [module: string, names: readonly string[], ...operands: BenchOperand[]])[] = [
  ['activations', Object.keys(catalog.activations), whole],
  ['transformer', ['swiglu', 'geglu', 'reglu', 'glu', 'softcap'], whole],
  ['transformer', ['swigluPair', 'gegluPair', 'regluPair', 'clampedSwiglu', 'scaledResidual'], whole, whole],
  ['transformer', ['biasSwiglu', 'biasGeglu', 'addBias', 'biasGeluTanh', 'biasSilu'], whole, row],
  ['softmax', ['softmax', 'logSoftmax', 'softmin'], whole],
  ['softmax', ['softmaxGradient'], whole, whole],
  ['norms', ['rmsNorm'], whole, row],
  ['norms', ['layerNorm'], whole, row, row],
  ['norms', ['addRmsNorm', 'residualRmsNorm'], whole, whole, row],
  ['norms', ['addLayerNorm', 'residualLayerNorm'], whole, whole, row, row],
  ['norms', ['l2Normalize'], whole],
  ['norms', ['rmsNormGradient'], whole, row, whole],
  ['reductions', ['logSumExp', 'variance', 'l2Norm', 'standardize', 'prod'], whole],
  ['vlsp', ['depthGate', 'grpoAdvantage'], whole],
  ['vlsp', ['siluMulResidual'], whole, whole, whole],
  ['vlsp', ['recurrentStep'], whole, row, whole, []],
  ['optimizers', ['lionStep', 'sgdStep'], whole, whole, whole],
  ['optimizers', ['adamwStep', 'adamStep'], whole, whole, whole, whole],
  [
    'loss',
    ['binaryCrossEntropy', 'focalLoss', 'huberLoss', 'meanSquaredError', 'klDivergence'],
    whole,
    whole,
  ],
];

type Listed = Readonly<Record<string, readonly [Run, ...BenchOperand[]]>>;

const heads = [1, 16, 512, 64];
const cached = [8, 1024, 8, 64];
const paged = [256, 32, 8, 64];
const route = of('f32', N, 64);
const tokens = of('i32', N);
/** Kernels whose cases are of one size, or take other arguments here. */
const own: Listed = {
  'transformer.dropout': [(x, k) => catalog.transformer.dropout(x, 0.1, k), whole, key],
  'transformer.rmsNormDropout': [
    (x, w, k) => catalog.transformer.rmsNormDropout(x, w, 0.1, k),
    whole,
    row,
    key,
  ],
  'transformer.layerNormDropout': [
    (x, w, b, k) => catalog.transformer.layerNormDropout(x, { w, b, p: 0.1, key: k }),
    whole,
    row,
    row,
    key,
  ],
  'norms.groupNorm': [(x, w, b) => norms.groupNorm(x, 8, w, b), [16, 1024, 1024], row, row],
  'norms.instanceNorm': [(x, w, b) => norms.instanceNorm(x, w, b), [16, 1024, 1024], row, row],
  'norms.headRmsNorm': [(x, w) => norms.headRmsNorm(x, w), whole, [64]],
  'reductions.sum': [(x) => reductions.sum(x), whole],
  'reductions.mean': [(x) => reductions.mean(x), whole],
  'reductions.max': [(x) => reductions.max(x), whole],
  'reductions.min': [(x) => reductions.min(x), whole],
  'reductions.argmax': [(x) => reductions.argmax(x), whole],
  'reductions.argmin': [(x) => reductions.argmin(x), whole],
  'reductions.topk': [(x) => reductions.topk(x, 5), whole],
  'reductions.standardDeviation': [(x) => reductions.standardDeviation(x), whole],
  'reductions.dotLast': [(x, y) => reductions.dotLast(x, y), whole, whole],
  'reductions.l1Norm': [(x) => reductions.l1Norm(x), whole],
  'scan.cumsum': [(x) => scan.cumsum(x), [D, D]],
  'scan.cumprod': [(x) => scan.cumprod(x), [D, D]],
  'scan.cummax': [(x) => scan.cummax(x), [D, D]],
  'scan.cummin': [(x) => scan.cummin(x), [D, D]],
  'scan.logCumSumExp': [(x) => scan.logCumSumExp(x), [D, D]],
  'scan.cumsumGradient': [(x) => scan.cumsumGradient(x), [D, D]],
  'scan.linearRecurrence': [(a, b) => scan.linearRecurrence(a, b), [4, 256, D], [4, 256, D]],
  'softmax.softmax': [(x) => softmax.softmax(x), whole],
  'attention.scaleMaskSoftmax': [(x, m) => attention.scaleMaskSoftmax(x, m, 0.125), whole, of('bool', N, D)],
  'attention.maskedSoftmax': [(x, m) => attention.maskedSoftmax(x, m), whole, of('bool', N, D)],
  'attention.causalSoftmax': [(x) => attention.causalSoftmax(x), [16, D, D]],
  'attention.dotProductAttention': [(q, k, v) => attention.dotProductAttention(q, k, v), heads, heads, heads],
  'attention.flashAttention': [
    (q, k, v) => attention.flashAttention(q, k, v, { causal: true }),
    heads,
    heads,
    heads,
  ],
  'attention.pagedAttention': [
    (q, keys, values, pages, lengths) => attention.pagedAttention({ q, keys, values, pages, lengths }),
    [8, 16, 64],
    paged,
    paged,
    of('i32', 8, 32),
    of('i32', 8),
  ],
  'bits.packBits': [(x) => bits.packBits(x), of('u8', N * D)],
  'bits.unpackBits': [(x) => bits.unpackBits(x), of('u8', (N * D) / 8)],
  'bits.popcount': [(x) => bits.popcount(x), of('u32', N, D)],
  'bits.hammingDistance': [(a, b) => bits.hammingDistance(a, b), of('u32', N, D), of('u32', N, D)],
  'image.resizeBilinear': [(x) => image.resizeBilinear(x, 512, 512), [4, 256, 256, 16]],
  'image.resizeNearest': [(x) => image.resizeNearest(x, 512, 512), [4, 256, 256, 16]],
  'image.depthwiseConv3x3': [(x, k) => image.depthwiseConv3x3(x, k), [4, 256, 256, 16], [3, 3, 16]],
  'image.maxPool2d': [(x) => image.maxPool2d(x, 2), [4, 256, 256, 16]],
  'image.avgPool2d': [(x) => image.avgPool2d(x, 2), [4, 256, 256, 16]],
  'image.pixelShuffle': [(x) => image.pixelShuffle(x, 2), [4, 256, 256, 16]],
  'indexing.gatherAdd': [(s, i, o) => indexing.gatherAdd(s, i, o), whole, tokens, whole],
  'indexing.gatherScale': [(s, i, f) => indexing.gatherScale(s, i, f), whole, tokens, [N]],
  'indexing.scatterAdd': [(u, i) => indexing.scatterAdd(u, i, 1024), whole, tokens],
  'indexing.oneHot': [(i) => indexing.oneHot(i, 256), tokens],
  'indexing.maskedFill': [(x, m) => indexing.maskedFill(x, m, 0), whole, of('bool', N, D)],
  'indexing.segmentSum': [(x, s) => indexing.segmentSum(x, s, 1024), whole, tokens],
  'linear.linearBias': [linear.linearBias, [512, D], [D, D], row],
  'linear.linearBiasGelu': [linear.linearBiasGelu, [512, D], [D, D], row],
  'linear.linearBiasSilu': [linear.linearBiasSilu, [512, D], [D, D], row],
  'linear.linearRmsNorm': [(x, w, g) => linear.linearRmsNorm(x, w, g), [512, D], [D, D], row],
  'linear.linearSwiglu': [linear.linearSwiglu, [512, D], [D, D], [D, D]],
  'linear.loraLinear': [
    (x, w, a, b) => linear.loraLinear(x, w, { a, b, scale: 2 }),
    [512, D],
    [D, D],
    [16, D],
    [D, 16],
  ],
  'loss.softmaxCrossEntropy': [(x, t) => loss.softmaxCrossEntropy(x, t), whole, tokens],
  'loss.softmaxCrossEntropyGradient': [
    (x, t, g) => loss.softmaxCrossEntropyGradient(x, t, g),
    whole,
    tokens,
    [N],
  ],
  'loss.linearCrossEntropy': [
    (h, w, t) => loss.linearCrossEntropy(h, w, t),
    [256, 512],
    [16384, 512],
    of('i32', 256),
  ],
  'moe.routeSoftmax': [(x) => ({ ...moe.routeSoftmax(x, 8) }), route],
  'moe.routeTopkSoftmax': [(x) => ({ ...moe.routeTopkSoftmax(x, 8) }), route],
  'moe.routeSigmoid': [(x, bias) => ({ ...moe.routeSigmoid(x, 8, { bias }) }), route, of('f32', 64)],
  'moe.routeSqrtSoftplus': [
    (x, bias) => ({ ...moe.routeSqrtSoftplus(x, 8, { bias }) }),
    route,
    of('f32', 64),
  ],
  'moe.routeGrouped': [
    (x, bias) => ({ ...moe.routeGrouped(x, 8, { bias, groups: 8, topGroups: 4 }) }),
    route,
    of('f32', 64),
  ],
  'moe.dispatch': [(x, i) => ({ ...moe.dispatch(x, i, 64) }), [2048, D], of('i32', 2048, 4)],
  'moe.undispatch': [(x, o, w) => moe.undispatch(x, o, w), [8192, D], of('i32', 8192), of('f32', 2048, 4)],
  'moe.combine': [(x, w) => moe.combine(x, w), [2048, 8, D], [2048, 8]],
  'moe.gatherMatmul': [(x, w, i) => moe.gatherMatmul(x, w, i), [8, 32, 256], [16, 256, 256], of('i32', 8)],
  'moe.loadBalanceLoss': [(x, i) => moe.loadBalanceLoss(x, i), route, of('i32', N, 8)],
  'quant.dequantizeInt8': [(q, s) => quant.dequantizeInt8(q, s), of('i8', N, D), of('f32', N, 1)],
  'quant.dequantizeSiluInt8': [(q, s) => quant.dequantizeSiluInt8(q, s), of('i8', N, D), of('f32', N, 1)],
  'quant.quantizeInt8': [(x) => ({ ...quant.quantizeInt8(x) }), whole],
  'quant.dequantizeInt4': [(q, s) => quant.dequantizeInt4(q, s), of('u8', N, D / 2), of('f32', N, 1)],
  'quant.dequantizeBlockwise': [
    (q, s) => quant.dequantizeBlockwise(q, s),
    of('i8', N, D),
    of('f32', N, D / 128),
  ],
  'quant.dequantizeAffine': [
    (q, s, b) => quant.dequantizeAffine(q, s, b),
    of('u32', N, D / 8),
    of('f32', N, D / 64),
    of('f32', N, D / 64),
  ],
  'quant.quantizeAffine': [(x) => quant.quantizeAffine(x), of('f32', 4096, D)],
  'quant.dequantizeFp8': [(q) => quant.dequantizeFp8(q, 2), of('u8', N, D)],
  'quant.dequantizeNf4': [(q, s) => quant.dequantizeNf4(q, s), of('u8', N, D / 2), of('f32', N, D / 64)],
  'quant.quantizeNf4': [(x) => ({ ...quant.quantizeNf4(x) }), of('f32', 4096, D)],
  'quant.dequantizeMxfp4': [(q, s) => quant.dequantizeMxfp4(q, s), of('u8', N, D / 2), of('u8', N, D / 32)],
  'quant.quantizeMxfp4': [(x) => ({ ...quant.quantizeMxfp4(x) }), of('f32', 4096, D)],
  'quant.quantizedSwiglu': [
    (g, s, u, r) => quant.quantizedSwiglu({ codes: g, scales: s }, { codes: u, scales: r }),
    of('i8', N, D),
    of('f32', N, D / 128),
    of('i8', N, D),
    of('f32', N, D / 128),
  ],
  'quant.affineMatmul': [
    (x, codes, scales, biases) => quant.affineMatmul(x, { codes, scales, biases }),
    of('f32', 64, D),
    of('u32', D, D / 8),
    of('f32', D, D / 64),
    of('f32', D, D / 64),
  ],
  'quant.fakeQuantize': [(x) => quant.fakeQuantize(x), whole],
  'rope.ropeTables': [() => [...rope.ropeTables(4096, 128)]],
  'rope.applyRope': [(x, c, s) => rope.applyRope(x, c, s), [128, 1024, 128], [1024, 64], [1024, 64]],
  'rope.applyRopeInterleaved': [
    (x, c, s) => rope.applyRopeInterleaved(x, c, s),
    [128, 1024, 128],
    [1024, 64],
    [1024, 64],
  ],
  'rope.ropeQueryKey': [
    (q, k, c, s) => ({ ...rope.ropeQueryKey(q, k, c, s) }),
    [4, 1024, 16, 128],
    [4, 1024, 8, 128],
    [1024, 64],
    [1024, 64],
  ],
  'rope.ropeCacheUpdate': [
    (q, k, v, cos, sin, offsets, keys, values) => ({
      ...rope.ropeCacheUpdate({ q, k, v, cos, sin, offsets }, keys, values),
    }),
    [8, 16, 64],
    [8, 8, 64],
    [8, 8, 64],
    [1024, 32],
    [1024, 32],
    of('i32', 8),
    cached,
    cached,
  ],
  'rope.pagedRopeCacheUpdate': [
    (q, k, v, cos, sin, offsets, keys, values, table) => ({
      ...rope.pagedRopeCacheUpdate({ q, k, v, cos, sin, offsets }, keys, values, table),
    }),
    [8, 16, 64],
    [8, 8, 64],
    [8, 8, 64],
    [1024, 32],
    [1024, 32],
    of('i32', 8),
    paged,
    paged,
    of('i32', 8, 32),
  ],
  'rope.ropeConcat': [
    (qNope, qRope, kNope, kRope, cos, sin) => ({
      ...rope.ropeConcat({ qNope, qRope, kNope, kRope }, cos, sin),
    }),
    [4, 16, 512, 128],
    [4, 16, 512, 64],
    [4, 1, 512, 128],
    [4, 1, 512, 64],
    [512, 32],
    [512, 32],
  ],
};

/** Kernels over packed weights, which are made for the device: 16 experts of 1024 x 1024 in q4, 4 chosen by each of 64 rows. */
function packedRows(device: Device): Readonly<Record<string, BenchRow>> {
  const layout = { kind: 'q4', group: 32, metaDtype: 'f16' } as const;
  // All ids are 0: one expert is read.
  const weightBytes = packedBytes(layout, D, D);
  const weight = (): Weight => {
    const shape = [16, D, D] as const;
    const buffer = device.allocate(16 * weightBytes, 'weight');
    return new Weight({ device, buffer, layout, shape });
  };
  const [gate, up] = [weight(), weight()];
  const [x, h, ids, weights] = [of('f32', 64, D), of('f32', 64, 4, D), of('i32', 64, 4), of('f32', 64, 4)];
  return {
    'moe.gatherQmm': { operands: [x, ids], run: (p, i) => moe.gatherQmm(p, i, gate), weightBytes },
    'moe.gatherQmmSwiglu': {
      operands: [x, ids],
      run: (p, i) => moe.gatherQmmSwiglu(p, i, gate, up),
      weightBytes: 2 * weightBytes,
    },
    'moe.gatherQmmCombine': {
      operands: [h, ids, weights],
      run: (p, i, w) => moe.gatherQmmCombine(p, i, w, gate),
      weightBytes,
    },
  };
}

/** Every kernel of the catalog by `module.name`. */
export function benchRows(device: Device): Readonly<Record<string, BenchRow>> {
  const rows: Record<string, BenchRow> = {};
  for (const [module, names, ...operands] of sized) {
    for (const name of names) {
      const found = catalogCases[module]?.[name];
      if (found === undefined) throw new Error(`no kernel ${module}.${name}`);
      rows[`${module}.${name}`] = { operands, run: found.run as Run, plain: found.want as Run };
    }
  }
  for (const [name, [run, ...operands]] of Object.entries(own)) rows[name] = { operands, run };
  return { ...rows, ...packedRows(device) };
}

// Cases of every module of the catalog.

import type { Cases } from './case.ts';
import { activations, bits, optimizers, transformer, vlsp } from './elementwise.ts';
import { attention, image, loss, moe, quant, rope } from './models.ts';
import { indexing, linear, norms, reductions, scan, softmax } from './rows.ts';

export const catalogCases: Readonly<Record<string, Cases>> = {
  activations,
  attention,
  bits,
  image,
  indexing,
  linear,
  loss,
  moe,
  norms,
  optimizers,
  quant,
  reductions,
  rope,
  scan,
  softmax,
  transformer,
  vlsp,
};

/** Array functions that are kernels of the catalog, whose op has cases of its own on every device. */
export const casesOfOps: Readonly<Record<string, string>> = {
  gatherQmmSwiglu: 'moeGlu',
  gatherQmmCombine: 'moeDown',
  gatherQmm: 'expertLinear',
};

/**
 * Kernels whose programs are their own: what the software GPU of the tests runs, as its compiler takes 50 ms for each. The others are made of ops
 * with cases on that GPU.
 */
export function hasOwnProgram(module: string, kernel: string): boolean {
  return ownModules.includes(module) || (ownKernels[module] ?? []).includes(kernel);
}
const ownModules = [
  'activations',
  'bits',
  'norms',
  'optimizers',
  'reductions',
  'softmax',
  'transformer',
  'vlsp',
];
const ownKernels: Readonly<Record<string, readonly string[]>> = {
  attention: ['maskedSoftmax', 'scaleMaskSoftmax', 'causalSoftmax'],
  image: ['resizeBilinear', 'depthwiseConv3x3'],
  loss: ['binaryCrossEntropy', 'focalLoss', 'huberLoss', 'meanSquaredError'],
  moe: ['combine', 'routeSqrtSoftplus'],
  quant: [
    'dequantizeInt8',
    'dequantizeSiluInt8',
    'dequantizeInt4',
    'dequantizeAffine 3',
    'quantizeNf4',
    'fakeQuantize',
  ],
  rope: ['applyRope'],
  scan: ['linearRecurrence'],
};

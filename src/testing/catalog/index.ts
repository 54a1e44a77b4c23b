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

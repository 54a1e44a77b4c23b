// The kernels that have WGSL. Adding one is a file and a line here.

import { attentionKernel } from './attention/index.ts';
import { chosenAttentionKernel, indexTopkKernel } from './chosen.ts';
import { blockWriteKernel, compressedAttentionKernel, sinkhornKernel } from './compressed.ts';
import type { GpuKernel } from './contract.ts';
import { copyKernel } from './copy.ts';
import { embedKernel } from './embed.ts';
import { gatherKernel } from './gather.ts';
import { layerNormKernel } from './layer-norm.ts';
import { linearKernel } from './linear/index.ts';
import { matmulKernel } from './matmul.ts';
import { moeDownKernel } from './moe-down.ts';
import { moeGluKernel } from './moe-glu.ts';
import { moeRouteKernel } from './moe-route.ts';
import { reduceKernel } from './reduce.ts';
import { rmsNormKernel } from './rms-norm.ts';
import { kvWriteKernel, ropeKernel, ropeKvKernel } from './rope.ts';
import { countKernel } from './sample/count.ts';
import { sampleKernel } from './sample/index.ts';
import { penalizeKernel } from './sample/penalize.ts';
import { scatterAddKernel } from './scatter-add.ts';
import { shortConvKernel } from './short-conv.ts';
import { softmaxKernel } from './softmax.ts';
import { sortRowsKernel, topkRowsKernel } from './sort.ts';
import { tileKernel } from './tile.ts';
import { userKernel } from './user.ts';

export const gpuKernels: readonly GpuKernel[] = [
  attentionKernel,
  blockWriteKernel,
  chosenAttentionKernel,
  compressedAttentionKernel,
  indexTopkKernel,
  sinkhornKernel,
  copyKernel,
  embedKernel,
  gatherKernel,
  layerNormKernel,
  linearKernel,
  matmulKernel,
  moeDownKernel,
  moeGluKernel,
  moeRouteKernel,
  reduceKernel,
  rmsNormKernel,
  kvWriteKernel,
  ropeKernel,
  ropeKvKernel,
  countKernel,
  sampleKernel,
  penalizeKernel,
  scatterAddKernel,
  shortConvKernel,
  softmaxKernel,
  sortRowsKernel,
  topkRowsKernel,
  tileKernel,
  userKernel,
];

const byName: ReadonlyMap<string, GpuKernel> = new Map(gpuKernels.map((k) => [k.name, k]));

/** The kernel of this name, or undefined. */
export const findGpuKernel = (name: string): GpuKernel | undefined => byName.get(name);

// Every op of the library: the one list that conformance tests, benchmarks and the support table go through.

import type { OpDef } from '../op.ts';
import { absOp } from './abs.ts';
import { addOp } from './add.ts';
import { allOp } from './all.ts';
import { anyOp } from './any.ts';
import { arangeOp } from './arange.ts';
import { argmaxOp } from './argmax.ts';
import { argminOp } from './argmin.ts';
import { assignOp } from './assign.ts';
import { attentionOp } from './attention.ts';
import { bitwiseAndOp } from './bitwise-and.ts';
import { bitwiseNotOp } from './bitwise-not.ts';
import { bitwiseOrOp } from './bitwise-or.ts';
import { bitwiseXorOp } from './bitwise-xor.ts';
import { blockWriteOp } from './block-write.ts';
import { broadcastToOp } from './broadcast-to.ts';
import { castOp } from './cast.ts';
import { ceilOp } from './ceil.ts';
import { chosenAttentionOp } from './chosen-attention.ts';
import { compressedAttentionOp } from './compressed-attention.ts';
import { concatOp } from './concat.ts';
import { contiguousOp } from './contiguous.ts';
import { cosOp } from './cos.ts';
import { countOp } from './count.ts';
import { divOp } from './div.ts';
import { embeddingOp } from './embedding.ts';
import { eqOp } from './eq.ts';
import { erfOp } from './erf.ts';
import { expOp } from './exp.ts';
import { expertLinearOp } from './expert-linear.ts';
import { expm1Op } from './expm1.ts';
import { floorOp } from './floor.ts';
import { floorDivideOp } from './floor-divide.ts';
import { fullOp } from './full.ts';
import { geOp } from './ge.ts';
import { geluOp } from './gelu.ts';
import { geluTanhOp } from './gelu-tanh.ts';
import { gtOp } from './gt.ts';
import { barrierOp, identityOp } from './identity.ts';
import { indexTopkOp } from './index-topk.ts';
import { isnanOp } from './is-nan.ts';
import { kvWriteOp } from './kv-write.ts';
import { layerNormOp } from './layer-norm.ts';
import { leOp } from './le.ts';
import { leftShiftOp } from './left-shift.ts';
import { linearOp } from './linear.ts';
import { logOp } from './log.ts';
import { logSoftmaxOp } from './log-softmax.ts';
import { log1pOp } from './log1p.ts';
import { logicalAndOp } from './logical-and.ts';
import { logicalNotOp } from './logical-not.ts';
import { logicalOrOp } from './logical-or.ts';
import { logicalXorOp } from './logical-xor.ts';
import { ltOp } from './lt.ts';
import { matmulOp } from './matmul.ts';
import { maxOp } from './max.ts';
import { maximumOp } from './maximum.ts';
import { meanOp } from './mean.ts';
import { minOp } from './min.ts';
import { minimumOp } from './minimum.ts';
import { modOp } from './mod.ts';
import { moeDownOp } from './moe-down.ts';
import { moeGluOp } from './moe-glu.ts';
import { moeRouteOp } from './moe-route.ts';
import { mulOp } from './mul.ts';
import { neOp } from './ne.ts';
import { negOp } from './neg.ts';
import { penalizeOp } from './penalize.ts';
import { powOp } from './pow.ts';
import { prodOp } from './prod.ts';
import { reciprocalOp } from './reciprocal.ts';
import { reshapeOp } from './reshape.ts';
import { rightShiftOp } from './right-shift.ts';
import { rmsNormOp } from './rms-norm.ts';
import { ropeOp } from './rope.ts';
import { ropeKvOp } from './rope-kv.ts';
import { roundOp } from './round.ts';
import { rowWriteOp } from './row-write.ts';
import { rsqrtOp } from './rsqrt.ts';
import { sampleOp } from './sample.ts';
import { scatterAddOp } from './scatter-add.ts';
import { shortConvOp } from './short-conv.ts';
import { sigmoidOp } from './sigmoid.ts';
import { signOp } from './sign.ts';
import { siluOp } from './silu.ts';
import { sinOp } from './sin.ts';
import { sinkhornOp } from './sinkhorn.ts';
import { sliceOp } from './slice.ts';
import { softmaxOp } from './softmax.ts';
import { sortOp } from './sort.ts';
import { sqrtOp } from './sqrt.ts';
import { squareOp } from './square.ts';
import { storedOp } from './stored.ts';
import { subOp } from './sub.ts';
import { sumOp } from './sum.ts';
import { takeOp } from './take.ts';
import { tanOp } from './tan.ts';
import { tanhOp } from './tanh.ts';
import { tileOp } from './tile.ts';
import { topkOp } from './topk.ts';
import { transposeOp } from './transpose.ts';
import { truncOp } from './trunc.ts';
import { viewOp } from './view.ts';
import { whereOp } from './where.ts';

export const ops: readonly OpDef[] = [
  absOp,
  addOp,
  allOp,
  anyOp,
  arangeOp,
  argmaxOp,
  argminOp,
  assignOp,
  attentionOp,
  bitwiseAndOp,
  bitwiseNotOp,
  bitwiseOrOp,
  bitwiseXorOp,
  broadcastToOp,
  castOp,
  ceilOp,
  concatOp,
  contiguousOp,
  cosOp,
  countOp,
  divOp,
  embeddingOp,
  eqOp,
  erfOp,
  expOp,
  expertLinearOp,
  expm1Op,
  floorDivideOp,
  floorOp,
  fullOp,
  geOp,
  geluTanhOp,
  geluOp,
  gtOp,
  barrierOp,
  identityOp,
  isnanOp,
  kvWriteOp,
  layerNormOp,
  leOp,
  leftShiftOp,
  linearOp,
  logSoftmaxOp,
  logOp,
  log1pOp,
  logicalAndOp,
  logicalNotOp,
  logicalOrOp,
  logicalXorOp,
  ltOp,
  matmulOp,
  maxOp,
  maximumOp,
  meanOp,
  minOp,
  minimumOp,
  modOp,
  moeDownOp,
  moeGluOp,
  moeRouteOp,
  mulOp,
  neOp,
  negOp,
  penalizeOp,
  powOp,
  prodOp,
  reciprocalOp,
  reshapeOp,
  rightShiftOp,
  rmsNormOp,
  ropeKvOp,
  ropeOp,
  roundOp,
  rsqrtOp,
  sampleOp,
  scatterAddOp,
  blockWriteOp,
  chosenAttentionOp,
  compressedAttentionOp,
  indexTopkOp,
  rowWriteOp,
  shortConvOp,
  sigmoidOp,
  signOp,
  siluOp,
  sinOp,
  sinkhornOp,
  sliceOp,
  softmaxOp,
  sortOp,
  sqrtOp,
  squareOp,
  storedOp,
  subOp,
  sumOp,
  takeOp,
  tanOp,
  tanhOp,
  tileOp,
  topkOp,
  transposeOp,
  truncOp,
  viewOp,
  whereOp,
];

// Every op of the library: the one list that conformance tests, benchmarks and the support table go through.

import type { OpDef } from '../op.ts';
import { arangeOp } from './creation/arange.ts';
import { fullOp } from './creation/full.ts';
import { absOp } from './elementwise/abs.ts';
import { addOp } from './elementwise/add.ts';
import { bitwiseAndOp } from './elementwise/bitwise-and.ts';
import { bitwiseNotOp } from './elementwise/bitwise-not.ts';
import { bitwiseOrOp } from './elementwise/bitwise-or.ts';
import { bitwiseXorOp } from './elementwise/bitwise-xor.ts';
import { castOp } from './elementwise/cast.ts';
import { ceilOp } from './elementwise/ceil.ts';
import { cosOp } from './elementwise/cos.ts';
import { divOp } from './elementwise/div.ts';
import { eqOp } from './elementwise/eq.ts';
import { erfOp } from './elementwise/erf.ts';
import { expOp } from './elementwise/exp.ts';
import { expm1Op } from './elementwise/expm1.ts';
import { floorOp } from './elementwise/floor.ts';
import { floorDivideOp } from './elementwise/floor-divide.ts';
import { geOp } from './elementwise/ge.ts';
import { geluOp } from './elementwise/gelu.ts';
import { geluTanhOp } from './elementwise/gelu-tanh.ts';
import { gtOp } from './elementwise/gt.ts';
import { isnanOp } from './elementwise/is-nan.ts';
import { leOp } from './elementwise/le.ts';
import { leftShiftOp } from './elementwise/left-shift.ts';
import { logOp } from './elementwise/log.ts';
import { log1pOp } from './elementwise/log1p.ts';
import { logicalAndOp } from './elementwise/logical-and.ts';
import { logicalNotOp } from './elementwise/logical-not.ts';
import { logicalOrOp } from './elementwise/logical-or.ts';
import { logicalXorOp } from './elementwise/logical-xor.ts';
import { ltOp } from './elementwise/lt.ts';
import { maximumOp } from './elementwise/maximum.ts';
import { minimumOp } from './elementwise/minimum.ts';
import { modOp } from './elementwise/mod.ts';
import { mulOp } from './elementwise/mul.ts';
import { neOp } from './elementwise/ne.ts';
import { negOp } from './elementwise/neg.ts';
import { powOp } from './elementwise/pow.ts';
import { reciprocalOp } from './elementwise/reciprocal.ts';
import { rightShiftOp } from './elementwise/right-shift.ts';
import { roundOp } from './elementwise/round.ts';
import { rsqrtOp } from './elementwise/rsqrt.ts';
import { sigmoidOp } from './elementwise/sigmoid.ts';
import { signOp } from './elementwise/sign.ts';
import { siluOp } from './elementwise/silu.ts';
import { sinOp } from './elementwise/sin.ts';
import { sqrtOp } from './elementwise/sqrt.ts';
import { squareOp } from './elementwise/square.ts';
import { subOp } from './elementwise/sub.ts';
import { tanOp } from './elementwise/tan.ts';
import { tanhOp } from './elementwise/tanh.ts';
import { tileOp } from './elementwise/tile.ts';
import { truncOp } from './elementwise/trunc.ts';
import { whereOp } from './elementwise/where.ts';
import { expertLinearOp } from './experts/expert-linear.ts';
import { moeDownOp } from './experts/moe-down.ts';
import { moeGluOp } from './experts/moe-glu.ts';
import { moeRerouteOp } from './experts/moe-reroute.ts';
import { moeRouteOp } from './experts/moe-route.ts';
import { scatterAddOp } from './indexing/scatter-add.ts';
import { sortOp } from './indexing/sort.ts';
import { takeOp } from './indexing/take.ts';
import { topkOp } from './indexing/topk.ts';
import { embeddingOp } from './linear/embedding.ts';
import { linearOp } from './linear/linear.ts';
import { matmulOp } from './linear/matmul.ts';
import { assignOp } from './memory/assign.ts';
import { blockWriteOp } from './memory/block-write.ts';
import { barrierOp, identityOp } from './memory/identity.ts';
import { kvWriteOp } from './memory/kv-write.ts';
import { ropeKvOp } from './memory/rope-kv.ts';
import { rowWriteOp } from './memory/row-write.ts';
import { storedOp } from './memory/stored.ts';
import { addLayerNormOp, addRmsNormOp } from './nn/add-norm.ts';
import { attentionOp } from './nn/attention.ts';
import { chosenAttentionOp } from './nn/chosen-attention.ts';
import { compressedAttentionOp } from './nn/compressed-attention.ts';
import { indexTopkOp } from './nn/index-topk.ts';
import { layerNormOp } from './nn/layer-norm.ts';
import { rmsNormOp } from './nn/rms-norm.ts';
import { ropeOp } from './nn/rope.ts';
import { shortConvOp } from './nn/short-conv.ts';
import { sinkhornOp } from './nn/sinkhorn.ts';
import { allOp } from './reduce/all.ts';
import { anyOp } from './reduce/any.ts';
import { argmaxOp } from './reduce/argmax.ts';
import { argminOp } from './reduce/argmin.ts';
import { countOp } from './reduce/count.ts';
import { logSoftmaxOp } from './reduce/log-softmax.ts';
import { maxOp } from './reduce/max.ts';
import { meanOp } from './reduce/mean.ts';
import { minOp } from './reduce/min.ts';
import { prodOp } from './reduce/prod.ts';
import { softmaxOp } from './reduce/softmax.ts';
import { sumOp } from './reduce/sum.ts';
import { penalizeOp } from './sampling/penalize.ts';
import { sampleOp } from './sampling/sample.ts';
import { broadcastToOp } from './shape/broadcast-to.ts';
import { concatOp } from './shape/concat.ts';
import { contiguousOp } from './shape/contiguous.ts';
import { reshapeOp } from './shape/reshape.ts';
import { sliceOp } from './shape/slice.ts';
import { transposeOp } from './shape/transpose.ts';
import { viewOp } from './shape/view.ts';

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
  moeRerouteOp,
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
  addRmsNormOp,
  addLayerNormOp,
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

// The array library without the devices of a platform: lazy arrays, the ops over them, and compile.

export { dynDim } from '../base/shape.ts';
export type { Glu, Precision } from '../kernel/signature.ts';
export { Array, type Operand } from './array.ts';
export { type CompileOptions, compile, type InputSpec, type Outputs } from './compile.ts';
export { setDefaultDevice } from './context.ts';
export { arange, evaluate, fromBuffer, fromData, full, ones, scalar, zeros } from './creation.ts';
export {
  clip,
  elu,
  expandDims,
  flatten,
  hardSwish,
  leakyRelu,
  logAddExp,
  logSigmoid,
  logSumExp,
  mish,
  relu,
  reluSquared,
  repeat,
  softplus,
  split,
  squeeze,
  stack,
  standardDeviation,
  swapAxes,
  variance,
} from './derived.ts';
export { clearCache } from './eager.ts';
export { tidy } from './lifetime.ts';
export { abs } from './ops/abs.ts';
export { add } from './ops/add.ts';
export { all } from './ops/all.ts';
export { any } from './ops/any.ts';
export { argmax } from './ops/argmax.ts';
export { argmin } from './ops/argmin.ts';
export { type AttentionOptions, attention } from './ops/attention.ts';
export { bitwiseAnd } from './ops/bitwise-and.ts';
export { bitwiseNot } from './ops/bitwise-not.ts';
export { bitwiseOr } from './ops/bitwise-or.ts';
export { bitwiseXor } from './ops/bitwise-xor.ts';
export { broadcastTo } from './ops/broadcast-to.ts';
export { cast } from './ops/cast.ts';
export { ceil } from './ops/ceil.ts';
export { concat } from './ops/concat.ts';
export { cos } from './ops/cos.ts';
export { count } from './ops/count.ts';
export { div } from './ops/div.ts';
export { dequantize, embedding } from './ops/embedding.ts';
export { eq } from './ops/eq.ts';
export { erf } from './ops/erf.ts';
export { exp } from './ops/exp.ts';
export { expm1 } from './ops/expm1.ts';
export { floor } from './ops/floor.ts';
export { floorDivide } from './ops/floor-divide.ts';
export { fullLike } from './ops/full-like.ts';
export { ge } from './ops/ge.ts';
export { gelu } from './ops/gelu.ts';
export { geluTanh } from './ops/gelu-tanh.ts';
export { gt } from './ops/gt.ts';
export { isnan } from './ops/is-nan.ts';
export { type CacheShape, kvWrite } from './ops/kv-write.ts';
export { layerNorm } from './ops/layer-norm.ts';
export { le } from './ops/le.ts';
export { leftShift } from './ops/left-shift.ts';
export { type LinearOptions, linear } from './ops/linear.ts';
export { log } from './ops/log.ts';
export { logSoftmax } from './ops/log-softmax.ts';
export { log1p } from './ops/log1p.ts';
export { logicalAnd } from './ops/logical-and.ts';
export { logicalNot } from './ops/logical-not.ts';
export { logicalOr } from './ops/logical-or.ts';
export { logicalXor } from './ops/logical-xor.ts';
export { lt } from './ops/lt.ts';
export { matmul } from './ops/matmul.ts';
export { max } from './ops/max.ts';
export { maximum } from './ops/maximum.ts';
export { mean } from './ops/mean.ts';
export { min } from './ops/min.ts';
export { minimum } from './ops/minimum.ts';
export { mod } from './ops/mod.ts';
export { moeDown } from './ops/moe-down.ts';
export { type MoeOptions, moeGlu } from './ops/moe-glu.ts';
export { type MoeRouteOptions, moeRoute } from './ops/moe-route.ts';
export { mul } from './ops/mul.ts';
export { ne } from './ops/ne.ts';
export { neg } from './ops/neg.ts';
export { type PenalizeOptions, penalize } from './ops/penalize.ts';
export { pow } from './ops/pow.ts';
export { prod } from './ops/prod.ts';
export { reciprocal } from './ops/reciprocal.ts';
export { reshape } from './ops/reshape.ts';
export { rightShift } from './ops/right-shift.ts';
export { rmsNorm } from './ops/rms-norm.ts';
export { type RopeOptions, rope } from './ops/rope.ts';
export { round } from './ops/round.ts';
export { type RowSettings, settingsWords } from './ops/row-settings.ts';
export { rsqrt } from './ops/rsqrt.ts';
export { type Sampled, sample } from './ops/sample.ts';
export { scatterAdd } from './ops/scatter-add.ts';
export { sigmoid } from './ops/sigmoid.ts';
export { sign } from './ops/sign.ts';
export { silu } from './ops/silu.ts';
export { sin } from './ops/sin.ts';
export { type Range, slice } from './ops/slice.ts';
export { softmax } from './ops/softmax.ts';
export { argsort, sort } from './ops/sort.ts';
export { sqrt } from './ops/sqrt.ts';
export { square } from './ops/square.ts';
export { sub } from './ops/sub.ts';
export { sum } from './ops/sum.ts';
export { take } from './ops/take.ts';
export { tan } from './ops/tan.ts';
export { tanh } from './ops/tanh.ts';
export { topk } from './ops/topk.ts';
export { transpose } from './ops/transpose.ts';
export { trunc } from './ops/trunc.ts';
export { where } from './ops/where.ts';
export { Plan, type RunArguments } from './plan.ts';
export { PlanOutput } from './plan-output.ts';
export { State, type StateSpec, Weight, type WeightSpec } from './weight.ts';

// The array library without the devices of a platform: lazy arrays, the ops over them, and compile.

export { dynDim } from '../base/shape.ts';
export type { Glu, Precision } from '../kernel/signature.ts';
export { Array, type Operand } from './array.ts';
export { type CompileOptions, compile, type InputSpec, type Outputs } from './compile.ts';
export { setDefaultDevice } from './context.ts';
export { arange, evaluate, fromBuffer, fromData, full, ones, scalar, zeros } from './creation.ts';
export {
  elu,
  flatten,
  hardSwish,
  leakyRelu,
  logSigmoid,
  logSumExp,
  logSumExp as logsumexp,
  mish,
  relu,
  reluSquared,
  repeat,
  softplus,
  split,
  stack,
  standardDeviation,
  standardDeviation as std,
  swapAxes,
  swapAxes as swapaxes,
  variance,
  variance as var,
} from './derived.ts';
export { clearCache } from './eager.ts';
export { fromNpy, toNpy } from './files/npy.ts';
export { fromNpz, toNpz } from './files/npz.ts';
export { fromSafetensors, toSafetensors } from './files/safetensors.ts';
export * from './functions/activations.ts';
export * from './functions/arrange.ts';
export * from './functions/blocks.ts';
export * from './functions/compare.ts';
export * from './functions/convolution.ts';
export * from './functions/dtypes.ts';
export { einsum, einsumPath } from './functions/einsum.ts';
export * as fast from './functions/fast.ts';
export * as fft from './functions/fft.ts';
export {
  argwhere,
  nonzero,
  putAlongAxis,
  type ScatterMode,
  scatter,
  select,
  sliceUpdate,
  type Unique,
  unique,
} from './functions/indexing.ts';
export * as linalg from './functions/linalg.ts';
export {
  addmm,
  cross,
  dot,
  inner,
  kron,
  outer,
  product as matmul,
  tensordot,
  vdot,
  vecdot,
} from './functions/linear-algebra.ts';
export * as losses from './functions/losses.ts';
export * from './functions/make.ts';
export * from './functions/math.ts';
export * from './functions/names.ts';
export * from './functions/numpy.ts';
export * as quantized from './functions/quantized.ts';
export * as random from './functions/random.ts';
export * from './functions/scans.ts';
export {
  atleast1d,
  atleast2d,
  atleast3d,
  broadcastArrays,
  columnStack,
  diag,
  diagonal,
  dstack,
  eye,
  flip,
  hstack,
  identityMatrix,
  identityMatrix as identity,
  type MeshgridOptions,
  meshgrid,
  moveaxis,
  type PadMode,
  type PadWidths,
  pad,
  roll,
  rot90,
  tile,
  trace,
  tri,
  tril,
  triu,
  unflatten,
  vstack,
} from './functions/shape.ts';
export * from './functions/special.ts';
export * from './functions/statistics.ts';
export { tidy } from './lifetime.ts';
export { abs } from './ops/abs.ts';
export { add } from './ops/add.ts';
export { all } from './ops/all.ts';
export { any } from './ops/any.ts';
export { argmax } from './ops/argmax.ts';
export { argmin } from './ops/argmin.ts';
export { bitwiseAnd } from './ops/bitwise-and.ts';
export { bitwiseNot, bitwiseNot as bitwiseInvert } from './ops/bitwise-not.ts';
export { bitwiseOr } from './ops/bitwise-or.ts';
export { bitwiseXor } from './ops/bitwise-xor.ts';
export { broadcastTo } from './ops/broadcast-to.ts';
export { cast, cast as astype } from './ops/cast.ts';
export { ceil } from './ops/ceil.ts';
export { concat, concat as concatenate } from './ops/concat.ts';
export { cos } from './ops/cos.ts';
export { div, div as divide } from './ops/div.ts';
export { embedding } from './ops/embedding.ts';
export { eq, eq as equal } from './ops/eq.ts';
export { erf } from './ops/erf.ts';
export { exp } from './ops/exp.ts';
export { expm1 } from './ops/expm1.ts';
export { floor } from './ops/floor.ts';
export { floorDivide } from './ops/floor-divide.ts';
export { fullLike } from './ops/full-like.ts';
export { ge, ge as greaterEqual } from './ops/ge.ts';
export { gelu } from './ops/gelu.ts';
export { geluTanh } from './ops/gelu-tanh.ts';
export { gt, gt as greater } from './ops/gt.ts';
export { stopGradient } from './ops/identity.ts';
export { isnan } from './ops/is-nan.ts';
export { layerNorm } from './ops/layer-norm.ts';
export { le, le as lessEqual } from './ops/le.ts';
export { leftShift } from './ops/left-shift.ts';
export { type LinearOptions, linear } from './ops/linear.ts';
export { log } from './ops/log.ts';
export { logSoftmax } from './ops/log-softmax.ts';
export { log1p } from './ops/log1p.ts';
export { logicalAnd } from './ops/logical-and.ts';
export { logicalNot } from './ops/logical-not.ts';
export { logicalOr } from './ops/logical-or.ts';
export { logicalXor } from './ops/logical-xor.ts';
export { lt, lt as less } from './ops/lt.ts';
export { max } from './ops/max.ts';
export { maximum } from './ops/maximum.ts';
export { mean } from './ops/mean.ts';
export { min } from './ops/min.ts';
export { minimum } from './ops/minimum.ts';
export { mod, mod as remainder } from './ops/mod.ts';
export { mul, mul as multiply } from './ops/mul.ts';
export { ne, ne as notEqual } from './ops/ne.ts';
export { neg, neg as negative } from './ops/neg.ts';
export { pow, pow as power } from './ops/pow.ts';
export { prod } from './ops/prod.ts';
export { reciprocal } from './ops/reciprocal.ts';
export { reshape } from './ops/reshape.ts';
export { rightShift } from './ops/right-shift.ts';
export { rmsNorm } from './ops/rms-norm.ts';
export { type RopeOptions, rope } from './ops/rope.ts';
export { rsqrt } from './ops/rsqrt.ts';
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
export { sub, sub as subtract } from './ops/sub.ts';
export { sum } from './ops/sum.ts';
export { take } from './ops/take.ts';
export { takeAlongAxis } from './ops/take-along-axis.ts';
export { tan } from './ops/tan.ts';
export { tanh } from './ops/tanh.ts';
export { topk } from './ops/topk.ts';
export { transpose, transpose as permuteDims } from './ops/transpose.ts';
export { trunc } from './ops/trunc.ts';
export { view } from './ops/view.ts';
export { where } from './ops/where.ts';
export { Plan, type RunArguments } from './plan.ts';
export { PlanOutput } from './plan-output.ts';
export { type CustomVjp, checkpoint, customFunction } from './transform/custom.ts';
export { type Argnums, grad, jvp, valueAndGrad, vjp } from './transform/grad.ts';
export { mapTree, treeArrays, withArrays } from './transform/tree.ts';
export { type Axis, vmap } from './transform/vmap.ts';
export { State, type StateSpec, Weight, type WeightSpec } from './weight.ts';

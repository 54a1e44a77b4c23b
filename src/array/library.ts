// The array library without the devices of a platform: lazy arrays, the ops over them, and compile.

export { dynDim } from '../base/shape.ts';
export type { Glu, KernelPrecision } from '../kernel/signature.ts';
export { Array, type Operand } from './array.ts';
export { type CompileOptions, compile, explain, type InputSpec, type Outputs } from './compile.ts';
export { setDefaultDevice } from './context.ts';
export {
  arange,
  evaluate,
  evaluate as asyncEval,
  evaluate as eval,
  fromBuffer,
  fromData,
  full,
  ones,
  scalar,
  zeros,
} from './creation.ts';
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
export type { StepCost } from './explain.ts';
export { fromNpy, toNpy } from './files/npy.ts';
export { fromNpz, toNpz } from './files/npz.ts';
export { fromSafetensors, toSafetensors } from './files/safetensors.ts';
export * from './functions/activations.ts';
export * from './functions/arrange.ts';
export * from './functions/bessel.ts';
export * from './functions/blocks.ts';
export * from './functions/combined.ts';
export * from './functions/compare.ts';
export * from './functions/constants.ts';
export * from './functions/convolution.ts';
export * from './functions/dtypes.ts';
export { slice, sliceUpdate } from './functions/dynamic-slice.ts';
export { einsum, einsumPath } from './functions/einsum.ts';
export * as fast from './functions/fast.ts';
export * as fft from './functions/fft-all.ts';
export * from './functions/fp8.ts';
export {
  argwhere,
  nonzero,
  putAlongAxis,
  type ScatterMode,
  scatter,
  select,
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
export * from './functions/nan.ts';
export * from './functions/numpy.ts';
export * from './functions/pieces.ts';
export * from './functions/polynomials.ts';
export * as quantized from './functions/quantized.ts';
export * as random from './functions/random.ts';
export * from './functions/sets.ts';
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
export { matrixNorm, vectorNorm } from './functions/systems.ts';
export { tidy } from './lifetime.ts';
export { fullLike } from './ops/creation/full-like.ts';
export { abs } from './ops/elementwise/abs.ts';
export { add } from './ops/elementwise/add.ts';
export { bitwiseAnd } from './ops/elementwise/bitwise-and.ts';
export { bitwiseNot, bitwiseNot as bitwiseInvert } from './ops/elementwise/bitwise-not.ts';
export { bitwiseOr } from './ops/elementwise/bitwise-or.ts';
export { bitwiseXor } from './ops/elementwise/bitwise-xor.ts';
export { cast, cast as astype } from './ops/elementwise/cast.ts';
export { ceil } from './ops/elementwise/ceil.ts';
export { cos } from './ops/elementwise/cos.ts';
export { div, div as divide } from './ops/elementwise/div.ts';
export { eq, eq as equal } from './ops/elementwise/eq.ts';
export { erf } from './ops/elementwise/erf.ts';
export { exp } from './ops/elementwise/exp.ts';
export { expm1 } from './ops/elementwise/expm1.ts';
export { floor } from './ops/elementwise/floor.ts';
export { floorDivide } from './ops/elementwise/floor-divide.ts';
export { ge, ge as greaterEqual } from './ops/elementwise/ge.ts';
export { gelu } from './ops/elementwise/gelu.ts';
export { geluTanh } from './ops/elementwise/gelu-tanh.ts';
export { gt, gt as greater } from './ops/elementwise/gt.ts';
export { isnan } from './ops/elementwise/is-nan.ts';
export { le, le as lessEqual } from './ops/elementwise/le.ts';
export { leftShift } from './ops/elementwise/left-shift.ts';
export { log } from './ops/elementwise/log.ts';
export { log1p } from './ops/elementwise/log1p.ts';
export { logicalAnd } from './ops/elementwise/logical-and.ts';
export { logicalNot } from './ops/elementwise/logical-not.ts';
export { logicalOr } from './ops/elementwise/logical-or.ts';
export { logicalXor } from './ops/elementwise/logical-xor.ts';
export { lt, lt as less } from './ops/elementwise/lt.ts';
export { maximum } from './ops/elementwise/maximum.ts';
export { minimum } from './ops/elementwise/minimum.ts';
export { mod, mod as remainder } from './ops/elementwise/mod.ts';
export { mul, mul as multiply } from './ops/elementwise/mul.ts';
export { ne, ne as notEqual } from './ops/elementwise/ne.ts';
export { neg, neg as negative } from './ops/elementwise/neg.ts';
export { pow, pow as power } from './ops/elementwise/pow.ts';
export { reciprocal } from './ops/elementwise/reciprocal.ts';
export { rightShift } from './ops/elementwise/right-shift.ts';
export { rsqrt } from './ops/elementwise/rsqrt.ts';
export { sigmoid } from './ops/elementwise/sigmoid.ts';
export { sign } from './ops/elementwise/sign.ts';
export { silu } from './ops/elementwise/silu.ts';
export { sin } from './ops/elementwise/sin.ts';
export { sqrt } from './ops/elementwise/sqrt.ts';
export { square } from './ops/elementwise/square.ts';
export { sub, sub as subtract } from './ops/elementwise/sub.ts';
export { tan } from './ops/elementwise/tan.ts';
export { tanh } from './ops/elementwise/tanh.ts';
export { trunc } from './ops/elementwise/trunc.ts';
export { where } from './ops/elementwise/where.ts';
export { scatterAdd } from './ops/indexing/scatter-add.ts';
export { argsort, sort } from './ops/indexing/sort.ts';
export { take } from './ops/indexing/take.ts';
export { takeAlongAxis } from './ops/indexing/take-along-axis.ts';
export { topk } from './ops/indexing/topk.ts';
export { embedding } from './ops/linear/embedding.ts';
export { type LinearOptions, linear } from './ops/linear/linear.ts';
export { stopGradient } from './ops/memory/identity.ts';
export { layerNorm } from './ops/nn/layer-norm.ts';
export { rmsNorm } from './ops/nn/rms-norm.ts';
export { type RopeOptions, rope } from './ops/nn/rope.ts';
export { all } from './ops/reduce/all.ts';
export { any } from './ops/reduce/any.ts';
export { argmax } from './ops/reduce/argmax.ts';
export { argmin } from './ops/reduce/argmin.ts';
export { logSoftmax } from './ops/reduce/log-softmax.ts';
export { max } from './ops/reduce/max.ts';
export { mean } from './ops/reduce/mean.ts';
export { min } from './ops/reduce/min.ts';
export { prod } from './ops/reduce/prod.ts';
export { softmax } from './ops/reduce/softmax.ts';
export { sum } from './ops/reduce/sum.ts';
export { cummax } from './ops/scan/cummax.ts';
export { cummin } from './ops/scan/cummin.ts';
export { cumprod } from './ops/scan/cumprod.ts';
export { cumsum } from './ops/scan/cumsum.ts';
export { logcumsumexp } from './ops/scan/logcumsumexp.ts';
export type { ScanOptions } from './ops/scan/scan.ts';
export { broadcastTo } from './ops/shape/broadcast-to.ts';
export { concat, concat as concatenate } from './ops/shape/concat.ts';
export { reshape } from './ops/shape/reshape.ts';
export type { Index, Range } from './ops/shape/slice.ts';
export { transpose, transpose as permuteDims } from './ops/shape/transpose.ts';
export { view } from './ops/shape/view.ts';
export { Plan, type RunArguments } from './plan.ts';
export { PlanOutput } from './plan-output.ts';
export { type CustomVjp, checkpoint, customFunction } from './transform/custom.ts';
export { type Argnums, grad, jvp, valueAndGrad, vjp } from './transform/grad.ts';
export { mapTree, treeArrays, withArrays } from './transform/tree.ts';
export { type Axis, vmap } from './transform/vmap.ts';
export { State, type StateSpec, Weight, type WeightSpec } from './weight.ts';

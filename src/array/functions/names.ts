// Second names of functions, as MLX, NumPy and PyTorch have them.

import type { NDArray } from '../array.ts';
import { dequantize as unpacked } from '../ops/linear/embedding.ts';
import { dequantize as affine } from './quantized.ts';

type DequantizeArguments = Parameters<typeof affine> extends [NDArray, NDArray, ...infer R] ? R : never;

export {
  hardSwish as hardswish,
  reluSquared as relu2,
  split as splitWithSizes,
  swapAxes as swapdims,
} from '../derived.ts';
export { abs as absolute } from '../ops/elementwise/abs.ts';
export { bitwiseNot as invert } from '../ops/elementwise/bitwise-not.ts';
export { div as trueDivide } from '../ops/elementwise/div.ts';
export { geluTanh as geluApprox } from '../ops/elementwise/gelu-tanh.ts';
export { leftShift as bitwiseLeftShift } from '../ops/elementwise/left-shift.ts';
export { rightShift as bitwiseRightShift } from '../ops/elementwise/right-shift.ts';
export { trunc as fix } from '../ops/elementwise/trunc.ts';
export { takeAlongAxis as takeAlongDim } from '../ops/indexing/take-along-axis.ts';
export { max as amax } from '../ops/reduce/max.ts';
export { min as amin } from '../ops/reduce/min.ts';
export { cumprod as cumulativeProd } from '../ops/scan/cumprod.ts';
export { cumsum as cumulativeSum } from '../ops/scan/cumsum.ts';
export { concat as cat } from '../ops/shape/concat.ts';
export { transpose as permute } from '../ops/shape/transpose.ts';
export { geluFast as geluFastApprox, softShrink as softshrink } from './activations.ts';
export {
  clip as clamp,
  expandDims as unsqueeze,
  remove as delete,
  round as rint,
  round as around,
} from './arrange.ts';
export { minmax as aminmax } from './combined.ts';
export {
  arccos as acos,
  arccosh as acosh,
  arcsin as asin,
  arcsinh as asinh,
  arctan as atan,
  arctan2 as atan2,
  arctanh as atanh,
  degrees as rad2deg,
  radians as deg2rad,
} from './math.ts';
export { unstack as unbind } from './numpy.ts';
export { gatherMm, gatherQmm, quantize, quantizedMatmul } from './quantized.ts';
export { moveaxis as movedim, vstack as rowStack } from './shape.ts';
export { digitize as bucketize, trapezoid as trapz } from './statistics.ts';

/** The numbers that codes with scales and biases stand for, as quantized.dequantize; or those of a packed matrix. */
export const dequantize = (codes: NDArray, scales?: NDArray, ...given: DequantizeArguments): NDArray =>
  scales === undefined ? unpacked(codes) : affine(codes, scales, ...given);

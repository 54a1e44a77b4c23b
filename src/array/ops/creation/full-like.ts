// An array of one value with the shape and dtype of another, dynamic dimensions included.

import type { NDArray } from '../../array.ts';
import { fullOp } from './full.ts';

/** `value` in the shape and dtype of `x`. */
export const fullLike = (x: NDArray, value: number): NDArray =>
  x.apply(fullOp, [], { shape: x.shape, dtype: x.dtype, value });

// An array of one value with the shape and dtype of another, dynamic dimensions included.

import type { DType } from '../../../base/dtype.ts';
import type { NDArray } from '../../array.ts';
import type { Term } from '../elementwise/elementwise.ts';
import { constantValue, fullOp } from './full.ts';

/** `value` in the shape of `x` and its dtype, or another one. */
export const fullLike = (x: NDArray, value: Term, dtype: DType = x.dtype): NDArray =>
  typeof value === 'object'
    ? value.cast(dtype).broadcastTo(x.shape)
    : x.apply(fullOp, [], { shape: x.shape, dtype, value: constantValue(value, dtype, 'fullLike') });

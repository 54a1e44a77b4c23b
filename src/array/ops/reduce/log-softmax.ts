// logSoftmax: log of softmax along an axis, without forming the softmax.

import { isFloat } from '../../../base/dtype.ts';
import type { NDArray } from '../../array.ts';
import { operand } from '../operands.ts';
import { overLastAxis } from './last-axis.ts';
import { softmaxLike } from './softmax.ts';

export const logSoftmaxOp = softmaxLike('logSoftmax', true, {
  value: (shifted, sum) => shifted - Math.log(sum),
  composite: (inputs) => {
    const x = operand(inputs, 0);
    const shifted = x.sub(x.max(-1, true));
    return [shifted.sub(shifted.exp().sum(-1, true).log())];
  },
  vjp: ({ outputs, grads }) => {
    const [y, g] = [operand(outputs, 0), operand(grads, 0)];
    return [g.sub(y.exp().mul(g.sum(-1, true)))];
  },
});

/** log of softmax along an axis, or over several or (null) all together, without forming the softmax. The axis defaults to the last. */
export const logSoftmax = (x: NDArray, axis: number | readonly number[] | null = -1): NDArray =>
  overLastAxis(isFloat(x.dtype) ? x : x.cast('f32'), axis, 'logSoftmax', (y) =>
    y.apply(logSoftmaxOp, [y], {}),
  );

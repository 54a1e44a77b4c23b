// broadcastTo: repeats along axes of size 1. Inside an elementwise chain it costs nothing.

import { broadcastShapes, formatShape, type Shape, sameShape } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp } from '../../op.ts';
import { padRank } from '../batch.ts';
import { applyElementwise } from '../elementwise/elementwise.ts';
import { operand, output, shapeError } from '../operands.ts';
import { sumTo } from '../reduce/sum.ts';

export interface BroadcastAttrs {
  readonly shape: Shape;
}

export const broadcastToOp = defineOp<BroadcastAttrs>({
  name: 'broadcastTo',
  infer: (inputs, { shape }) => {
    const x = operand(inputs, 0);
    if (!sameShape(broadcastShapes(x.shape, shape, 'broadcastTo'), shape)) {
      shapeError('broadcastTo', `${formatShape(x.shape)} does not broadcast to ${formatShape(shape)}`);
    }
    return [{ shape, dtype: x.dtype }];
  },
  reference: (inputs, outputs) => applyElementwise(inputs, output(outputs), (x) => x),
  elementwise: { opcode: () => 'copy' },
  vjp: ({ inputs, grads }) => [sumTo(operand(grads, 0), operand(inputs, 0).shape)],
  batch: ({ inputs, size, attrs: { shape } }) => [
    padRank(operand(inputs, 0), shape.length).broadcastTo([size, ...shape]),
  ],
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [
    { name: 'rows', inputs: [{ shape: [5] }], attrs: { shape: [3, 5] } },
    { name: 'columns', inputs: [{ shape: [4, 1] }], attrs: { shape: [2, 4, 3] } },
    { name: 'scalar i32', inputs: [{ shape: [], dtype: 'i32' }], attrs: { shape: [6] } },
    { name: 'bool', inputs: [{ shape: [1, 3], dtype: 'bool', fill: 'bool' }], attrs: { shape: [4, 3] } },
  ],
});

/** `x` repeated to `shape` by NumPy's broadcasting rules. */
export const broadcastTo = (x: NDArray, shape: Shape): NDArray =>
  sameShape(x.shape, shape) ? x : x.apply(broadcastToOp, [x], { shape });

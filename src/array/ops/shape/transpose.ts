// transpose: axes in another order.

import { bytesPerElement } from '../../../base/dtype.ts';
import { IngotError } from '../../../base/errors.ts';
import { formatShape, normalizeAxis, rowMajorStrides } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp } from '../../op.ts';
import { emitCopy } from '../memory/copy.ts';
import { operand, output, shapeError } from '../operands.ts';

export interface TransposeAttrs {
  readonly axes: readonly number[];
}

export const transposeOp = defineOp<TransposeAttrs>({
  name: 'transpose',
  infer: (inputs, { axes }) => {
    const x = operand(inputs, 0);
    const sorted = [...axes].sort((a, b) => a - b);
    if (axes.length !== x.shape.length || sorted.some((a, i) => a !== i)) {
      throw new IngotError(
        'invalid_argument',
        `transpose: [${axes}] is not an order of ${x.shape.length} axes`,
      );
    }
    return [{ shape: axes.map((a) => operand(x.shape, a)), dtype: x.dtype }];
  },
  reference: (inputs, outputs, { axes }) => {
    const x = operand(inputs, 0);
    const out = output(outputs);
    const strides = rowMajorStrides(x.shape).map((c) => c.mul);
    const index = new Array<number>(axes.length).fill(0);
    for (let i = 0; i < out.data.length; i++) {
      let from = 0;
      axes.forEach((a, k) => {
        from += (strides[a] as number) * (index[k] as number);
      });
      out.data[i] = x.data[from] as number;
      for (let k = axes.length - 1; k >= 0; k--) {
        index[k] = (index[k] as number) + 1;
        if ((index[k] as number) < (out.shape[k] as number)) break;
        index[k] = 0;
      }
    }
  },
  vjp: ({ grads, attrs }) => {
    const inverse = attrs.axes.map((_, i) => attrs.axes.indexOf(i));
    return [transpose(operand(grads, 0), inverse)];
  },
  batch: ({ inputs, attrs: { axes } }) => [operand(inputs, 0).transpose([0, ...axes.map((a) => a + 1)])],
  kernel: {
    halfFloats: true,
    emit: (context) => {
      const x = operand(context.inputs, 0);
      const out = operand(context.outputs, 0);
      const from = rowMajorStrides(x.type.shape);
      emitCopy(context, x, out, {
        bytes: bytesPerElement(x.type.dtype),
        sizes: out.type.shape,
        from: context.attrs.axes.map((a) => operand(from, a)),
        to: rowMajorStrides(out.type.shape),
      });
    },
  },
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [
    { name: 'matrix', inputs: [{ shape: [5, 7] }], attrs: { axes: [1, 0] } },
    { name: 'heads', inputs: [{ shape: [3, 4, 8] }], attrs: { axes: [1, 0, 2] } },
    { name: 'f16 rank 4', inputs: [{ shape: [2, 3, 4, 5], dtype: 'f16' }], attrs: { axes: [3, 1, 0, 2] } },
    { name: 'u8', inputs: [{ shape: [3, 4], dtype: 'u8' }], attrs: { axes: [1, 0] } },
  ],
});

/** Axes in the order given; reversed when no order is given. Negative axes count from the end. */
export function transpose(x: NDArray, axes?: readonly number[]): NDArray {
  const rank = x.shape.length;
  const order = (axes ?? x.shape.map((_, i) => rank - 1 - i)).map((a) => normalizeAxis(a, rank, 'transpose'));
  if (order.length !== rank || new Set(order).size !== rank) {
    shapeError('transpose', `axes [${axes}] are not an order of the ${rank} axes of ${formatShape(x.shape)}`);
  }
  return order.every((a, i) => a === i) ? x : x.apply(transposeOp, [x], { axes: order });
}

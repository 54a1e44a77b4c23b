// reshape: the same elements in another shape. Never copies.

import {
  checkShapeList,
  type Dim,
  elementCount,
  formatShape,
  isDynamic,
  type Shape,
  sameDim,
  sameShape,
} from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp } from '../../op.ts';
import { operand, output, shapeError } from '../operands.ts';

export interface ReshapeAttrs {
  readonly shape: Shape;
}

export const reshapeOp = defineOp<ReshapeAttrs>({
  name: 'reshape',
  infer: (inputs, { shape }) => {
    const x = operand(inputs, 0);
    const [from, to] = [elementCount(x.shape), elementCount(shape)];
    const sameDyn = from.dyn === to.dyn || (from.dyn && to.dyn && sameDim(from.dyn, to.dyn));
    if (from.mul !== to.mul || !sameDyn) {
      shapeError('reshape', `${formatShape(x.shape)} has not as many elements as ${formatShape(shape)}`);
    }
    return [{ shape, dtype: x.dtype }];
  },
  reference: (inputs, outputs) => output(outputs).data.set(operand(inputs, 0).data),
  view: () => 0,
  vjp: ({ inputs, grads }) => [operand(grads, 0).reshape(operand(inputs, 0).shape)],
  batch: ({ inputs, size, attrs }) => [operand(inputs, 0).reshape([size, ...attrs.shape])],
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [
    { name: 'split', inputs: [{ shape: [4, 6] }], attrs: { shape: [4, 2, 3] } },
    { name: 'flatten', inputs: [{ shape: [2, 3, 4], dtype: 'f16' }], attrs: { shape: [24] } },
  ],
});

/** `x` with another shape of as many elements; one size may be -1 and follows from the others. */
export function reshape(x: NDArray, shape: readonly Dim[]): NDArray {
  const target = inferSize(x.shape, shape);
  return sameShape(x.shape, target) ? x : x.apply(reshapeOp, [x], { shape: target });
}

function inferSize(from: Shape, shape: readonly Dim[]): Shape {
  checkShapeList(shape, 'reshape');
  if (!shape.includes(-1)) return shape;
  const rest = elementCount(shape.filter((d) => d !== -1));
  const all = elementCount(from);
  const size = all.mul / rest.mul;
  const leftover = rest.dyn === undefined ? all.dyn : undefined;
  if (!Number.isInteger(size) || (leftover !== undefined && size !== 1)) {
    shapeError('reshape', `${formatShape(from)} does not fit ${formatShape(shape)}`);
  }
  const known = leftover ?? size;
  return shape.map((d) => (!isDynamic(d) && d === -1 ? known : d));
}

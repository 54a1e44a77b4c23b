// view: the same bytes as elements of another dtype.

import { bytesPerElement, type DType } from '../../../base/dtype.ts';
import { IngotError } from '../../../base/errors.ts';
import { formatShape } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp } from '../../op.ts';
import { operand, output } from '../operands.ts';

export interface ViewAttrs {
  readonly dtype: DType;
}

export const viewOp = defineOp<ViewAttrs>({
  name: 'view',
  infer: (inputs, { dtype }) => {
    const x = operand(inputs, 0);
    const [from, to] = [bytesPerElement(x.dtype), bytesPerElement(dtype)];
    if (from === to) return [{ shape: x.shape, dtype }];
    const last = x.shape.at(-1);
    if (typeof last !== 'number' || (last * from) % to !== 0) {
      throw new IngotError(
        'shape_mismatch',
        `view: the last axis of ${x.dtype}${formatShape(x.shape)} does not divide into elements of ${dtype}`,
      );
    }
    return [{ shape: [...x.shape.slice(0, -1), (last * from) / to], dtype }];
  },
  reference: (inputs, outputs) => {
    const bytes = (t: { data: ArrayBufferView }): Uint8Array =>
      new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength);
    bytes(output(outputs)).set(bytes(operand(inputs, 0)));
  },
  view: () => 0,
  vjp: 'none', // bits have no gradient
  batch: ({ inputs, attrs, again }) => again(inputs, attrs),
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [
    { name: 'f32 as i32', inputs: [{ shape: [3, 5] }], attrs: { dtype: 'i32' } },
    {
      name: 'i32 as u8',
      inputs: [{ shape: [3, 5], dtype: 'i32', fill: 'index', below: 100000 }],
      attrs: { dtype: 'u8' },
    },
    {
      name: 'u8 as u32',
      inputs: [{ shape: [3, 8], dtype: 'u8', fill: 'index', below: 255 }],
      attrs: { dtype: 'u32' },
    },
    { name: 'f16 as i8', inputs: [{ shape: [2, 6], dtype: 'f16' }], attrs: { dtype: 'i8' } },
  ],
});

/** The bytes of x as elements of another dtype; the last axis grows or shrinks with their size. Throws shape_mismatch when they do not divide. */
export const view = (x: NDArray, dtype: DType): NDArray => x.apply(viewOp, [x], { dtype });

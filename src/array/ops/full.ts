// full: an array of one value, which may be a plan scalar. Fusion turns it into a constant register.

import type { DType } from '../../base/dtype.ts';
import { checkShape, type Shape } from '../../base/shape.ts';
import { defineOp, type LowerContext } from '../op.ts';
import type { Scalar } from '../types.ts';
import { output, scalarValue, writer } from './operands.ts';
import { lowerTile } from './tile-params.ts';

export interface FullAttrs {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly value: Scalar;
}

export const fullOp = defineOp<FullAttrs>({
  name: 'full',
  infer: (_, { shape, dtype }) => {
    checkShape(shape, 'full');
    return [{ shape, dtype }];
  },
  reference: (_, outputs, { value }) => {
    const out = output(outputs);
    const write = writer(out);
    const x = scalarValue(value);
    for (let i = 0; i < out.data.length; i++) write(i, x);
  },
  vjp: () => [],
  kernel: {
    halfFloats: true,
    emit: (context: LowerContext<FullAttrs>) => {
      const { dtype, value } = context.attrs;
      lowerTile(context, { constants: [{ dtype, value }], instructions: [], result: 0 });
    },
  },
  cases: [
    { name: 'f32', inputs: [], attrs: { shape: [3, 4], dtype: 'f32', value: 2.5 } },
    { name: 'i32 scalar', inputs: [], attrs: { shape: [], dtype: 'i32', value: -7 } },
    { name: 'bool', inputs: [], attrs: { shape: [5], dtype: 'bool', value: 1 } },
    { name: 'f16', inputs: [], attrs: { shape: [9], dtype: 'f16', value: 0.1 } },
    { name: 'infinity', inputs: [], attrs: { shape: [2], dtype: 'f32', value: Number.NEGATIVE_INFINITY } },
  ],
});

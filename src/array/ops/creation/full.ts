// full: an array of one value, which may be a plan scalar. Fusion turns it into a constant register.

import { type DType, isFloat } from '../../../base/dtype.ts';
import { IngotError } from '../../../base/errors.ts';
import { checkShape, type Shape } from '../../../base/shape.ts';
import { defineOp, type LowerContext } from '../../op.ts';
import type { Scalar } from '../../types.ts';
import { lowerTile } from '../elementwise/tile-params.ts';
import { output, scalarValue, writer } from '../operands.ts';

export interface FullAttrs {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly value: Scalar;
}

/** A number or truth value as an element of `dtype`: integers drop the fraction. Throws invalid_argument when it does not fit. */
export function constantValue(x: number | boolean, dtype: DType, what: string): number {
  const value = Number(x);
  if (isFloat(dtype)) return value;
  if (dtype === 'bool') return value === 0 ? 0 : 1;
  const [low, high] = integerRange[dtype];
  const whole = Math.trunc(value);
  if (whole >= low && whole <= high) return whole;
  throw new IngotError(
    'invalid_argument',
    `${what}: ${value} does not fit ${dtype}, which holds ${low} to ${high}; cast the array or use another number`,
  );
}

const integerRange = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  i8: [-128, 127],
  u8: [0, 255],
} as const;

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
      lowerTile(context, { constants: [{ dtype, value }], instructions: [], results: [0] });
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

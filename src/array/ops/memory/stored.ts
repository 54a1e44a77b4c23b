// stored: f32 arithmetic whose result is kept in a shorter float. It rounds when it is written to memory; inside an elementwise
// program it stays in its register, as arithmetic on short floats does. (A cast rounds always.)

import { epsilon, type FloatDType } from '../../../base/dtype.ts';
import { IngotError } from '../../../base/errors.ts';
import type { NDArray } from '../../array.ts';
import { defineOp } from '../../op.ts';
import { applyElementwise } from '../elementwise/elementwise.ts';
import { operand, output } from '../operands.ts';

export interface StoredAttrs {
  readonly dtype: FloatDType;
}

export const storedOp = defineOp<StoredAttrs>({
  name: 'stored',
  infer: (inputs, { dtype }) => {
    const x = operand(inputs, 0);
    if (x.dtype !== 'f32')
      throw new IngotError('invalid_argument', `stored is defined for f32, got ${x.dtype}`);
    return [{ shape: x.shape, dtype }];
  },
  reference: (inputs, outputs) => applyElementwise(inputs, output(outputs), (x) => x),
  elementwise: { opcode: () => 'copy' },
  vjp: ({ grads }) => [operand(grads, 0).cast('f32')],
  tolerance: (_, outputs) => ({ absolute: 0, relative: epsilon(output(outputs).dtype) }),
  cases: (['f16', 'bf16'] as const).map((dtype) => ({
    name: dtype,
    inputs: [{ shape: [3, 21] }],
    attrs: { dtype },
  })),
});

/** An f32 array as one that is kept in `dtype`. */
export const stored = (x: NDArray, dtype: FloatDType): NDArray =>
  dtype === 'f32' ? x : x.apply(storedOp, [x], { dtype });

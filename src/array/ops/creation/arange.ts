// arange: evenly spaced numbers. Has no operands, so plans hold it as a constant.

import type { DType } from '../../../base/dtype.ts';
import { IngotError } from '../../../base/errors.ts';
import { defineOp } from '../../op.ts';
import { output, writer } from '../operands.ts';

export interface ArangeAttrs {
  readonly start: number;
  readonly step: number;
  readonly length: number;
  readonly dtype: DType;
}

export const arangeOp = defineOp<ArangeAttrs>({
  name: 'arange',
  infer: (_, { length, dtype }) => {
    if (!Number.isSafeInteger(length) || length < 0) {
      throw new IngotError(
        'invalid_argument',
        `arange: ${length} elements; step must lead from start to stop`,
      );
    }
    return [{ shape: [length], dtype }];
  },
  reference: (_, outputs, { start, step }) => {
    const out = output(outputs);
    const write = writer(out);
    for (let i = 0; i < out.data.length; i++) write(i, start + i * step);
  },
  vjp: () => [],
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [
    { name: 'i32', inputs: [], attrs: { start: 0, step: 1, length: 17, dtype: 'i32' } },
    { name: 'f32 down', inputs: [], attrs: { start: 1, step: -0.25, length: 9, dtype: 'f32' } },
  ],
});

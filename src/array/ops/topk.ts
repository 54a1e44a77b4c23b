// topk: the k largest elements along the last axis, largest first, with their positions.

import { IngotError } from '../../base/errors.ts';
import type { NDArray } from '../array.ts';
import { defineOp } from '../op.ts';
import { expectDtype, fixed, operand } from './operands.ts';
import { emitSort, sortReference } from './sort-rows.ts';

export interface TopkAttrs {
  readonly k: number;
}

export const topkOp = defineOp<TopkAttrs>({
  name: 'topk',
  infer: (inputs, { k }) => {
    const x = operand(inputs, 0);
    expectDtype(x, ['f32', 'f16', 'bf16', 'i32', 'u32'], 'topk');
    const D = fixed(x.shape.at(-1), 'topk');
    if (!Number.isInteger(k) || k < 1 || k > D) {
      throw new IngotError(
        'invalid_argument',
        `topk: k = ${k} must be from 1 to ${D}, the size of the last axis`,
      );
    }
    const shape = [...x.shape.slice(0, -1), k];
    return [
      { shape, dtype: x.dtype },
      { shape, dtype: 'i32' },
    ];
  },
  reference: (inputs, outputs, { k }) => sortReference(inputs, outputs, k, true),
  vjp: 'none', // needs a scatter along the last axis
  kernel: {
    supports: (inputs) => ['f32', 'f16', 'bf16'].includes(operand(inputs, 0).dtype),
    emit: (context) => emitSort(context, 'topk_rows', context.attrs.k, true),
  },
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [
    { name: 'some', inputs: [{ shape: [5, 64] }], attrs: { k: 8 } },
    { name: 'ties', inputs: [{ shape: [3, 40], fill: 'index', below: 5 }], attrs: { k: 7 } },
    { name: 'one of a vector', inputs: [{ shape: [129] }], attrs: { k: 1 } },
  ],
});

/** Values and i32 positions of the k largest elements along the last axis; ties go to the lower position. */
export function topk(x: NDArray, k: number): readonly [values: NDArray, indices: NDArray] {
  const [values, indices] = x.applyMany(topkOp, [x], { k });
  return [values as NDArray, indices as NDArray];
}

// topk: the k largest elements along the last axis, largest first, with their positions.

import { IngotError } from '../../../base/errors.ts';
import type { NDArray } from '../../array.ts';
import { defineOp } from '../../op.ts';
import { expectDtype, fixed, operand } from '../operands.ts';
import { widened } from '../reduce/reduce.ts';
import { emitSort, integerOrder, sortReference } from './sort-rows.ts';
import { pickInRows, putInRows } from './take-along-axis.ts';

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
  composite: (inputs, { k }) => {
    const x = operand(inputs, 0);
    const first = x.shape.map((_, axis) => (axis === x.shape.length - 1 ? ([0, k] as const) : null));
    const order = integerOrder(x, true).slice(...first);
    return [pickInRows(x, order), order];
  },
  vjp: ({ inputs, outputs, grads }) => {
    const D = fixed(operand(inputs, 0).shape.at(-1), 'topk');
    return [putInRows(operand(grads, 0), operand(outputs, 1), D)];
  },
  batch: ({ inputs, again }) => again(inputs),
  kernel: {
    supports: (inputs) => ['f32', 'f16', 'bf16'].includes(operand(inputs, 0).dtype),
    emit: (context) => emitSort(context, 'topk_rows', context.attrs.k, true),
  },
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [
    { name: 'some', inputs: [{ shape: [5, 64] }], attrs: { k: 8 } },
    { name: 'ties', inputs: [{ shape: [3, 40], fill: 'index', below: 5 }], attrs: { k: 7 } },
    { name: 'i32', inputs: [{ shape: [2, 9], dtype: 'i32' }], attrs: { k: 3 } },
    { name: 'NaN', inputs: [{ shape: [4], values: [1, NaN, 3, 2] }], attrs: { k: 2 } },
    {
      name: 'few of long rows, ties',
      inputs: [{ shape: [3, 700], fill: 'index', below: 50 }],
      attrs: { k: 8 },
    },
    { name: 'more of longer rows', inputs: [{ shape: [2, 9000] }], attrs: { k: 20 } },
    { name: 'one of a vector', inputs: [{ shape: [129] }], attrs: { k: 1 } },
  ],
});

/** Values and i32 positions of the k largest elements along the last axis; ties go to the lower position, NaN is the largest. */
export function topk(x: NDArray, k: number): readonly [values: NDArray, indices: NDArray] {
  const y = widened(x);
  const [values, indices] = y.applyMany(topkOp, [y], { k });
  return [(values as NDArray).cast(x.dtype), indices as NDArray];
}

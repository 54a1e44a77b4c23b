// sort: values in order along the last axis, with the positions they came from.

import { normalizeAxis } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import { defineOp } from '../op.ts';
import { alongLastAxis } from './last-axis.ts';
import { expectDtype, fixed, operand } from './operands.ts';
import { emitSort, sortReference } from './sort-rows.ts';

export interface SortAttrs {
  readonly descending: boolean;
}

export const sortOp = defineOp<SortAttrs>({
  name: 'sort',
  infer: (inputs) => {
    const x = operand(inputs, 0);
    expectDtype(x, ['f32', 'f16', 'bf16', 'i32', 'u32'], 'sort');
    fixed(x.shape.at(-1), 'sort');
    return [
      { shape: x.shape, dtype: x.dtype },
      { shape: x.shape, dtype: 'i32' },
    ];
  },
  reference: (inputs, outputs, { descending }) =>
    sortReference(inputs, outputs, operand(inputs, 0).shape.at(-1) ?? 1, descending),
  vjp: 'none', // needs a scatter along the last axis
  kernel: {
    supports: (inputs) => ['f32', 'f16', 'bf16'].includes(operand(inputs, 0).dtype),
    emit: (context) => {
      const D = fixed(operand(context.inputs, 0).type.shape.at(-1), 'sort');
      emitSort(context, 'sort_rows', D, context.attrs.descending);
    },
  },
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [
    { name: 'ascending', inputs: [{ shape: [4, 37] }], attrs: { descending: false } },
    {
      name: 'descending with ties',
      inputs: [{ shape: [3, 50], fill: 'index', below: 9 }],
      attrs: { descending: true },
    },
  ],
});

/** `x` sorted along `axis` (default the last); equal elements keep their order. */
export const sort = (x: NDArray, axis = -1, descending = false): NDArray =>
  alongLastAxis(
    x,
    normalizeAxis(axis, x.shape.length, 'sort'),
    (y) => y.applyMany(sortOp, [y], { descending })[0] as NDArray,
  );

/** Positions (i32) that sort `x` along `axis`. */
export const argsort = (x: NDArray, axis = -1, descending = false): NDArray =>
  alongLastAxis(
    x,
    normalizeAxis(axis, x.shape.length, 'argsort'),
    (y) => y.applyMany(sortOp, [y], { descending })[1] as NDArray,
  );

// sort: values in order along the last axis, with the positions they came from.

import { normalizeAxis } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp } from '../../op.ts';
import { expectDtype, fixed, operand } from '../operands.ts';
import { alongLastAxis } from '../reduce/last-axis.ts';
import { widened } from '../reduce/reduce.ts';
import { emitSort, integerOrder, sortReference } from './sort-rows.ts';
import { pickInRows, putInRows } from './take-along-axis.ts';

export interface SortAttrs {
  readonly descending: boolean;
}

const odd = [NaN, 1, -Infinity, NaN, Infinity, -1, 0, Infinity, Infinity, -0, NaN, -Infinity];
const wide = [2 ** 31 - 1, -(2 ** 31), 2 ** 31 - 2, -1, 16777217, 16777216, 65536, 65535];

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
  composite: (inputs, { descending }) => {
    const x = operand(inputs, 0);
    const order = integerOrder(x, descending);
    return [pickInRows(x, order), order];
  },
  vjp: ({ inputs, outputs, grads }) => {
    const D = fixed(operand(inputs, 0).shape.at(-1), 'sort');
    return [putInRows(operand(grads, 0), operand(outputs, 1), D)];
  },
  batch: ({ inputs, again }) => again(inputs),
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
    { name: 'numbers that are none', inputs: [{ shape: [2, 6], values: odd }], attrs: { descending: false } },
    {
      name: 'such numbers descending',
      inputs: [{ shape: [2, 6], values: odd }],
      attrs: { descending: true },
    },
    { name: 'i32', inputs: [{ shape: [2, 4], dtype: 'i32', values: wide }], attrs: { descending: false } },
    {
      name: 'i32 descending',
      inputs: [{ shape: [2, 4], dtype: 'i32', values: wide }],
      attrs: { descending: true },
    },
    {
      name: 'u32',
      inputs: [{ shape: [3], dtype: 'u32', values: [7, 4e9, 0] }],
      attrs: { descending: false },
    },
  ],
});

/** `x` sorted along `axis` (default the last; null: all elements in one row); equal elements keep their order, NaN is above every number. */
export const sort = (x: NDArray, axis: number | null = -1, descending = false): NDArray =>
  along(x, axis, 'sort', (y) => sorted(y, descending)[0].cast(x.dtype));

/** Positions (i32) that sort `x` along `axis` (default the last; null: all elements in one row). */
export const argsort = (x: NDArray, axis: number | null = -1, descending = false): NDArray =>
  along(x, axis, 'argsort', (y) => sorted(y, descending)[1]);

function along(x: NDArray, axis: number | null, what: string, f: (x: NDArray) => NDArray): NDArray {
  if (axis === null) return f(x.reshape([-1]));
  return alongLastAxis(x, normalizeAxis(axis, x.shape.length, what), f);
}

function sorted(x: NDArray, descending: boolean): readonly [values: NDArray, positions: NDArray] {
  const y = widened(x);
  const [values, positions] = y.applyMany(sortOp, [y], { descending });
  return [values as NDArray, positions as NDArray];
}

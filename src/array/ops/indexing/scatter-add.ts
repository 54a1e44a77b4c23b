// scatterAdd: adds rows into a table at given indices; the gradient of take.

import { isFloat } from '../../../base/dtype.ts';
import { IngotError } from '../../../base/errors.ts';
import { elementCount } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp } from '../../op.ts';
import { withBatch } from '../batch.ts';
import { arangeOp } from '../creation/arange.ts';
import {
  countParam,
  expectDtype,
  fixed,
  numel,
  operand,
  output,
  reader,
  shapeError,
  writer,
} from '../operands.ts';

export interface ScatterAddAttrs {
  readonly rows: number;
}

export const scatterAddOp = defineOp<ScatterAddAttrs>({
  name: 'scatterAdd',
  infer: (inputs, { rows }) => {
    const [updates, ids] = [operand(inputs, 0), operand(inputs, 1)];
    expectDtype(updates, ['f32', 'f16', 'bf16', 'i32', 'u32'], 'scatterAdd');
    expectDtype(ids, ['i32'], 'scatterAdd: indices');
    if (!Number.isInteger(rows) || rows < 0) shapeError('scatterAdd', `${rows} rows are not a size`);
    return [{ shape: [rows, ...updates.shape.slice(1)], dtype: updates.dtype }];
  },
  reference: (inputs, outputs, { rows }) => {
    const [updates, ids] = [operand(inputs, 0), operand(inputs, 1)];
    const inner = numel(updates.shape.slice(1));
    const read = reader(updates);
    const sums = new Float64Array(rows * inner);
    const integers = !isFloat(updates.dtype);
    ids.data.forEach((id, i) => {
      const row = id < 0 ? id + rows : id;
      if (row < 0 || row >= rows) {
        throw new IngotError('invalid_argument', `scatterAdd: index ${id} is outside ${rows} rows`);
      }
      for (let k = 0; k < inner; k++) {
        const sum = (sums[row * inner + k] as number) + read(i * inner + k);
        sums[row * inner + k] = integers ? sum | 0 : Math.fround(sum);
      }
    });
    const write = writer(output(outputs));
    for (let i = 0; i < sums.length; i++) write(i, sums[i] as number);
  },
  vjp: ({ inputs, grads }) => [operand(grads, 0).take(operand(inputs, 1), 0), null],
  batch: (call) => {
    // Each example has rows of its own in one table.
    const { size, attrs } = call;
    const [updates, ids] = [withBatch(call, 0), withBatch(call, 1)];
    const n = fixed(ids.shape[1], 'scatterAdd');
    const { rows } = attrs;
    const wrapped = ids.add(ids.lt(0).cast('i32').mul(rows));
    const outside = wrapped
      .lt(0)
      .logicalOr(wrapped.ge(rows))
      .cast('i32')
      .mul(size * rows);
    const starts = ids
      .apply(arangeOp, [], { start: 0, step: rows, length: size, dtype: 'i32' })
      .reshape([size, 1]);
    const places = wrapped
      .add(starts)
      .add(outside)
      .reshape([size * n]);
    const table = scatterAdd(updates.reshape([size * n, ...updates.shape.slice(2)]), places, size * rows);
    return [table.reshape([size, rows, ...updates.shape.slice(2)])];
  },
  kernel: {
    emit: (context) => {
      const [updates, ids] = [operand(context.inputs, 0), operand(context.inputs, 1)];
      const { shape, dtype } = updates.type;
      context.emit(
        'scatter_add',
        { updates, indices: ids, y: operand(context.outputs, 0) },
        {
          n: countParam(elementCount(ids.type.shape)),
          inner: countParam(elementCount(shape.slice(1))),
          D: context.attrs.rows,
          dtype,
        },
      );
    },
  },
  tolerance: (inputs) => {
    const n = operand(inputs, 1).data.length;
    return { absolute: n * 2 ** -22, relative: n * 2 ** -23 };
  },
  cases: [
    {
      name: 'rows',
      inputs: [{ shape: [9, 5] }, { shape: [9], dtype: 'i32', fill: 'index', below: 4 }],
      attrs: { rows: 6 },
    },
    {
      name: 'integers',
      inputs: [
        { shape: [4], dtype: 'i32', values: [2 ** 31 - 1, 1, 5, -7] },
        { shape: [4], dtype: 'i32', values: [1, 1, 0, 0] },
      ],
      attrs: { rows: 3 },
    },
    {
      name: 'from the end',
      inputs: [{ shape: [5, 3] }, { shape: [5], dtype: 'i32', values: [-1, 3, 0, -4, 1] }],
      attrs: { rows: 4 },
    },
  ],
});

/** `[rows, …]` zeros with `updates[i]` added to row `ids[i]`, in the order of i. */
export const scatterAdd = (updates: NDArray, ids: NDArray, rows: number): NDArray =>
  updates.apply(scatterAddOp, [updates, ids], { rows });

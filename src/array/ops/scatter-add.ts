// scatterAdd: adds rows into a table at given indices; the gradient of take.

import { IngotError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import { defineOp } from '../op.ts';
import { countParam, expectDtype, floats, numel, operand, output, writeFloats } from './operands.ts';

export interface ScatterAddAttrs {
  readonly rows: number;
}

export const scatterAddOp = defineOp<ScatterAddAttrs>({
  name: 'scatterAdd',
  infer: (inputs, { rows }) => {
    const [updates, ids] = [operand(inputs, 0), operand(inputs, 1)];
    expectDtype(updates, ['f32', 'f16', 'bf16'], 'scatterAdd');
    expectDtype(ids, ['i32'], 'scatterAdd: indices');
    return [{ shape: [rows, ...updates.shape.slice(1)], dtype: updates.dtype }];
  },
  reference: (inputs, outputs, { rows }) => {
    const [updates, ids] = [operand(inputs, 0), operand(inputs, 1)];
    const inner = numel(updates.shape.slice(1));
    const x = floats(updates);
    writeFloats(output(outputs), (out) => {
      out.fill(0);
      ids.data.forEach((id, i) => {
        const row = id < 0 ? id + rows : id;
        if (row < 0 || row >= rows) {
          throw new IngotError('invalid_argument', `scatterAdd: index ${id} is outside ${rows} rows`);
        }
        for (let k = 0; k < inner; k++) {
          out[row * inner + k] = (out[row * inner + k] as number) + (x[i * inner + k] as number);
        }
      });
    });
  },
  vjp: ({ inputs, grads }) => [operand(grads, 0).take(operand(inputs, 1), 0), null],
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
      name: 'from the end',
      inputs: [{ shape: [5, 3] }, { shape: [5], dtype: 'i32', values: [-1, 3, 0, -4, 1] }],
      attrs: { rows: 4 },
    },
  ],
});

/** `[rows, …]` zeros with `updates[i]` added to row `ids[i]`, in the order of i. */
export const scatterAdd = (updates: NDArray, ids: NDArray, rows: number): NDArray =>
  updates.apply(scatterAddOp, [updates, ids], { rows });

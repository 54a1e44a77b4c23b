// count: adds the occurrences of token ids to a table of counts, in place.

import { IngotError } from '../../base/errors.ts';
import { elementCount, formatShape } from '../../base/shape.ts';
import type { NDArray, Operand } from '../array.ts';
import { defineOp, type NoAttrs } from '../op.ts';
import { nextVersion } from './kv-write.ts';
import { countParam, expectDtype, fixed, operand, output, shapeError } from './operands.ts';

/** Operands: counts i32 `[V]` (State), ids i32. Output: the next version of counts. */
export const countOp = defineOp<NoAttrs>({
  name: 'count',
  inPlace: [0],
  infer: (inputs) => {
    const [counts, ids] = [operand(inputs, 0), operand(inputs, 1)];
    expectDtype(counts, ['i32'], 'count');
    expectDtype(ids, ['i32', 'u32'], 'count: ids');
    if (counts.shape.length !== 1)
      shapeError('count', `counts must be a vector, got ${formatShape(counts.shape)}`);
    return [nextVersion(counts)];
  },
  reference: (inputs, outputs) => {
    const counts = output(outputs).data;
    for (const id of operand(inputs, 1).data) {
      if (id < 0 || id >= counts.length) {
        throw new IngotError('invalid_argument', `count: id ${id} is outside a table of ${counts.length}`);
      }
      counts[id] = (counts[id] as number) + 1;
    }
  },
  vjp: 'none', // updates memory
  native: {
    emit: (context) => {
      const counts = operand(context.outputs, 0);
      const ids = operand(context.inputs, 1);
      context.emit(
        'count',
        [ids, counts],
        [countParam(elementCount(ids.type.shape)), fixed(counts.type.shape[0], 'count')],
      );
    },
  },
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [
    {
      name: 'repeated ids',
      inputs: [
        { shape: [11], dtype: 'i32', fill: 'index', below: 4, state: true },
        { shape: [40], dtype: 'i32', fill: 'index', below: 11 },
      ],
      attrs: {},
    },
  ],
});

/** Adds 1 to `counts[id]` (i32 State `[V]`) for every id; returns the next version. */
export const count = (counts: Operand, ids: NDArray): NDArray => ids.apply(countOp, [counts, ids], {});

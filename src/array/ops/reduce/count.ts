// count: adds the occurrences of token ids to tables of counts, in place.

import { IngotError } from '../../../base/errors.ts';
import { elementCount, formatShape } from '../../../base/shape.ts';
import type { NDArray, Operand } from '../../array.ts';
import { defineOp, type NoAttrs } from '../../op.ts';
import { nextVersion } from '../memory/kv-write.ts';
import {
  countParam,
  expectDtype,
  expectShape,
  fixed,
  operand,
  optional,
  output,
  shapeError,
} from '../operands.ts';

/** Operands: counts i32 `[S, V]` (State), ids `[n]`, slots `[n]` or null, fresh `[S]` or null. Output: counts' next version. */
export const countOp = defineOp<NoAttrs>({
  name: 'count',
  inPlace: [0],
  infer: (inputs) => {
    const [counts, ids] = [operand(inputs, 0), operand(inputs, 1)];
    expectDtype(counts, ['i32'], 'count');
    expectDtype(ids, ['i32', 'u32'], 'count: ids');
    if (counts.shape.length !== 2) {
      shapeError('count', `counts must be [S, V], got ${formatShape(counts.shape)}`);
    }
    const [slots, fresh] = [optional(inputs, 2), optional(inputs, 3)];
    if (slots !== null) {
      expectDtype(slots, ['i32'], 'count: slots');
      expectShape(slots, ids.shape, 'count: slots');
    }
    if (fresh !== null) {
      expectDtype(fresh, ['i32'], 'count: fresh');
      expectShape(fresh, counts.shape.slice(0, 1), 'count: fresh');
    }
    return [nextVersion(counts)];
  },
  reference: (inputs, outputs) => {
    const counts = output(outputs).data;
    const [S = 0, V = 0] = output(outputs).shape;
    optional(inputs, 3)?.data.forEach((fresh, slot) => {
      if (fresh !== 0) counts.fill(0, slot * V, (slot + 1) * V);
    });
    const slots = optional(inputs, 2)?.data;
    operand(inputs, 1).data.forEach((id, i) => {
      const slot = slots === undefined ? 0 : (slots[i] as number);
      if (slot < 0) return;
      if (id < 0 || id >= V || slot >= S) {
        throw new IngotError('invalid_argument', `count: id ${id} of slot ${slot} is outside [${S}, ${V}]`);
      }
      counts[slot * V + id] = (counts[slot * V + id] as number) + 1;
    });
  },
  vjp: 'none', // updates memory
  kernel: {
    emit: (context) => {
      const counts = operand(context.outputs, 0);
      const ids = operand(context.inputs, 1);
      context.emit(
        'count',
        { ids, counts, slots: optional(context.inputs, 2), fresh: optional(context.inputs, 3) },
        {
          rows: countParam(elementCount(ids.type.shape)),
          V: fixed(counts.type.shape[1], 'count'),
          S: fixed(counts.type.shape[0], 'count'),
        },
      );
    },
  },
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [
    {
      name: 'repeated ids',
      inputs: [
        { shape: [1, 11], dtype: 'i32', fill: 'index', below: 4, state: true },
        { shape: [40], dtype: 'i32', fill: 'index', below: 11 },
        null,
        null,
      ],
      attrs: {},
    },
    {
      name: 'slots, one of them fresh',
      inputs: [
        { shape: [3, 11], dtype: 'i32', fill: 'index', below: 4, state: true },
        { shape: [6], dtype: 'i32', fill: 'index', below: 11 },
        { shape: [6], dtype: 'i32', values: [2, 0, -1, 2, 1, 0] },
        { shape: [3], dtype: 'i32', values: [0, 1, 0] },
      ],
      attrs: {},
    },
  ],
});

/**
 * Adds 1 to `counts[slot][id]` (i32 State `[S, V]`) for every id, in the slot given beside it (default 0, -1 for none);
 * rows with `fresh` ≠ 0 start from 0. Returns the next version.
 */
export const count = (
  counts: Operand,
  ids: NDArray,
  options: { readonly slots?: NDArray; readonly fresh?: NDArray } = {},
): NDArray => ids.apply(countOp, [counts, ids, options.slots ?? null, options.fresh ?? null], {});

// rowWrite: stores rows that all heads share into the pages of one layer, in place: kvWrite of one cache.

import { elementCount, formatShape } from '../../../base/shape.ts';
import type { NDArray, Operand } from '../../array.ts';
import { defineOp } from '../../op.ts';
import { countParam, expectDtype, expectShape, operand, optional, output, shapeError } from '../operands.ts';
import { cacheShape, type KvWriteAttrs, nextVersion, rowsParam, writeRows } from './kv-write.ts';
import { checkPages, type PageTable, pageParams, slotFinder } from './paged.ts';

/** Operands: cache `[1, cap, W]`, rows `[n, W]`, positions, sequences and page table or null. Output: the cache's next version. */
export const rowWriteOp = defineOp<KvWriteAttrs>({
  name: 'rowWrite',
  inPlace: [0],
  infer: (inputs, { ring }) => {
    const [cache, rows, positions] = [operand(inputs, 0), operand(inputs, 1), operand(inputs, 2)];
    const { kvHeads, capacity, headDim } = cacheShape(cache, cache, 'rowWrite');
    if (kvHeads !== 1)
      shapeError('rowWrite', `the cache must be [1, cap, W], got ${formatShape(cache.shape)}`);
    expectDtype(positions, ['i32'], 'rowWrite: positions');
    if (positions.shape.length !== 1) shapeError('rowWrite', 'positions must be a vector');
    expectShape(rows, [operand(positions.shape, 0), headDim], 'rowWrite: rows');
    checkPages(inputs, 3, positions.shape, { capacity, ring }, 'rowWrite');
    return [nextVersion(cache)];
  },
  reference: (inputs, outputs, { ring }) => {
    const [, capacity = 0] = output(outputs).shape;
    const slotOf = slotFinder(inputs, 3, { capacity, ring }, 'rowWrite');
    const slots = Array.from(operand(inputs, 2).data, (position, row) => slotOf(row, position));
    writeRows(output(outputs), operand(inputs, 1), slots);
  },
  vjp: 'none', // updates memory
  kernel: {
    emit: (context) => {
      const { inputs, outputs, attrs } = context;
      const [cache, positions] = [operand(outputs, 0), operand(inputs, 2)];
      const { capacity, headDim } = cacheShape(cache.type, cache.type, 'rowWrite');
      context.emit(
        'kv_write',
        {
          k: operand(inputs, 1),
          v: null,
          positions,
          kCache: cache,
          vCache: null,
          sequences: optional(inputs, 3),
          pageTable: optional(inputs, 4),
        },
        {
          rows: countParam(elementCount(positions.type.shape)),
          Hkv: 1,
          Dh: headDim,
          cap: capacity,
          kvRows: rowsParam(cache.type, undefined),
          ring: attrs.ring,
          ...pageParams(optional(inputs, 4), 'rowWrite'),
        },
      );
    },
  },
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: (['f32', 'f16'] as const).flatMap((dtype) => [
    {
      name: `${dtype} ring`,
      inputs: [
        { shape: [1, 8, 18], dtype, state: true },
        { shape: [3, 18] },
        { shape: [3], dtype: 'i32' as const, fill: 'range' as const },
      ],
      attrs: { ring: 6 },
    },
    {
      name: `${dtype} pages`,
      inputs: [
        { shape: [1, 96, 16], dtype, state: true },
        { shape: [3, 16] },
        { shape: [3], dtype: 'i32' as const, fill: 'range' as const },
        { shape: [3], dtype: 'i32' as const, fill: 'range' as const },
        { shape: [3, 1], dtype: 'i32' as const, fill: 'range' as const },
      ],
      attrs: { ring: 0 },
    },
  ]),
});

/**
 * Writes `rows` `[n, W]` at `positions` (i32 `[n]`) into a cache `[1, cap, W]` (f32 or f16) and returns its next version. Slots
 * are those of kvWrite.
 */
export function rowWrite(
  state: Operand,
  rows: NDArray,
  positions: NDArray,
  options: { readonly ring?: number | undefined; readonly paged?: PageTable | undefined } = {},
): NDArray {
  const { ring = 0, paged } = options;
  const tables = [paged?.sequences ?? null, paged?.pages ?? null];
  const [next] = rows.applyMany(rowWriteOp, [state, rows, positions, ...tables], { ring });
  return next as NDArray;
}

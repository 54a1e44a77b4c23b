// kvWrite: stores keys and values of new rows into a cache of one layer, in place.

import { isFloat } from '../../../base/dtype.ts';
import { elementCount, formatShape, sameShape } from '../../../base/shape.ts';
import type { NDArray, Operand } from '../../array.ts';
import { defineOp } from '../../op.ts';
import type { Tensor, ValueType } from '../../types.ts';
import {
  countParam,
  expectDtype,
  expectShape,
  fixed,
  operand,
  optional,
  output,
  reader,
  shapeError,
  writer,
} from '../operands.ts';
import { checkPages, type PageTable, pageParams, slotFinder } from './paged.ts';

export interface KvWriteAttrs {
  /** 0: row at position p goes to slot p; n > 0: to slot p mod n. */
  readonly ring: number;
}

/** Sizes of a cache `[Hkv, cap, Dh]`. */
export interface CacheShape {
  readonly kvHeads: number;
  readonly capacity: number;
  readonly headDim: number;
}

export function cacheShape(k: ValueType | Tensor, v: ValueType | Tensor, what: string): CacheShape {
  if (k.shape.length !== 3 || !sameShape(k.shape, v.shape) || k.dtype !== v.dtype || !isFloat(k.dtype)) {
    shapeError(
      what,
      `expected key and value caches [Hkv, cap, Dh] of one float dtype, got ${k.dtype} ${formatShape(k.shape)} and ${v.dtype} ${formatShape(v.shape)}`,
    );
  }
  const [kvHeads = 0, capacity = 0, headDim = 0] = k.shape.map((d) => fixed(d, what));
  return { kvHeads, capacity, headDim };
}

/** Writes rows `[rows, Hkv, Dh]` of one of k and v to their slots. */
export function writeRows(cache: Tensor, rows: Tensor, slots: readonly number[]): void {
  const [kvHeads = 0, capacity = 0, headDim = 0] = cache.shape;
  const read = reader(rows);
  const write = writer(cache);
  slots.forEach((slot, row) => {
    for (let h = 0; h < kvHeads; h++) {
      for (let d = 0; d < headDim; d++) {
        write((h * capacity + slot) * headDim + d, read((row * kvHeads + h) * headDim + d));
      }
    }
  });
}

/** A new version of a state, as an output type. */
export const nextVersion = (t: ValueType): ValueType => ({ shape: t.shape, dtype: t.dtype, state: true });

/** Operands: k cache, v cache, k, v, positions, sequences and page table or null. Outputs: the caches' next versions. */
export const kvWriteOp = defineOp<KvWriteAttrs>({
  name: 'kvWrite',
  inPlace: [0, 1],
  infer: (inputs, { ring }) => {
    const [kCache, vCache] = [operand(inputs, 0), operand(inputs, 1)];
    const { kvHeads, capacity, headDim } = cacheShape(kCache, vCache, 'kvWrite');
    const [k, v, positions] = [operand(inputs, 2), operand(inputs, 3), operand(inputs, 4)];
    expectDtype(positions, ['i32'], 'kvWrite: positions');
    if (positions.shape.length !== 1) shapeError('kvWrite', 'positions must be a vector');
    const rows = [operand(positions.shape, 0), kvHeads, headDim];
    expectShape(k, rows, 'kvWrite: k');
    expectShape(v, rows, 'kvWrite: v');
    if (ring < 0 || ring > capacity)
      shapeError('kvWrite', `ring ${ring} is longer than the capacity ${capacity}`);
    checkPages(inputs, 5, positions.shape, { capacity, ring }, 'kvWrite');
    return [nextVersion(kCache), nextVersion(vCache)];
  },
  reference: (inputs, outputs, { ring }) => {
    const [, capacity = 0] = output(outputs, 0).shape;
    const slotOf = slotFinder(inputs, 5, { capacity, ring }, 'kvWrite');
    const slots = Array.from(operand(inputs, 4).data, (position, row) => slotOf(row, position));
    writeRows(output(outputs, 0), operand(inputs, 2), slots);
    writeRows(output(outputs, 1), operand(inputs, 3), slots);
  },
  vjp: 'none', // updates memory
  kernel: {
    emit: (context) => {
      const [kCache, vCache] = [operand(context.outputs, 0), operand(context.outputs, 1)];
      const [k, v, positions] = [
        operand(context.inputs, 2),
        operand(context.inputs, 3),
        operand(context.inputs, 4),
      ];
      const { kvHeads, capacity, headDim } = cacheShape(kCache.type, vCache.type, 'kvWrite');
      context.emit(
        'kv_write',
        {
          k,
          v,
          positions,
          kCache,
          vCache,
          sequences: optional(context.inputs, 5),
          pageTable: optional(context.inputs, 6),
        },
        {
          rows: countParam(elementCount(positions.type.shape)),
          Hkv: kvHeads,
          Dh: headDim,
          cap: capacity,
          kvDtype: kCache.type.dtype,
          ring: context.attrs.ring,
          ...pageParams(optional(context.inputs, 6), 'kvWrite'),
        },
      );
    },
  },
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: (['f32', 'f16'] as const).flatMap((dtype) => [
    ...[0, 6].map((ring) => ({
      name: `${dtype} ring ${ring}`,
      inputs: [
        { shape: [2, 8, 16], dtype, state: true },
        { shape: [2, 8, 16], dtype, state: true },
        { shape: [3, 2, 16] },
        { shape: [3, 2, 16] },
        { shape: [3], dtype: 'i32' as const, fill: 'range' as const },
      ],
      attrs: { ring },
    })),
    {
      name: `${dtype} pages`,
      inputs: [
        { shape: [2, 96, 16], dtype, state: true },
        { shape: [2, 96, 16], dtype, state: true },
        { shape: [3, 2, 16] },
        { shape: [3, 2, 16] },
        { shape: [3], dtype: 'i32' as const, fill: 'range' as const },
        { shape: [3], dtype: 'i32' as const, fill: 'range' as const },
        { shape: [3, 1], dtype: 'i32' as const, fill: 'range' as const },
      ],
      attrs: { ring: 0 },
    },
  ]),
});

/**
 * Writes `k`, `v` `[n, Hkv, Dh]` at `positions` (i32 `[n]`) into the caches `[Hkv, cap, Dh]` (States or versions of them,
 * f32 or f16) and returns their next versions. Slots are positions, positions mod `ring`, or those of a page table.
 */
export function kvWrite(
  kState: Operand,
  vState: Operand,
  k: NDArray,
  v: NDArray,
  positions: NDArray,
  options: { readonly ring?: number | undefined; readonly paged?: PageTable | undefined } = {},
): readonly [k: NDArray, v: NDArray] {
  const { ring = 0, paged } = options;
  const pages = [paged?.sequences ?? null, paged?.pages ?? null];
  const [nextK, nextV] = k.applyMany(kvWriteOp, [kState, vState, k, v, positions, ...pages], { ring });
  return [nextK as NDArray, nextV as NDArray];
}

// kvWrite: stores keys and values of new rows into a cache of one layer, in place.

import { isFloat } from '../../../base/dtype.ts';
import { type Dim, elementCount, formatShape, sameShape } from '../../../base/shape.ts';
import { type KvCodes, kvCodes, kvRowSizes, readKvRow, writeKvRow } from '../../../quant/kv-rows.ts';
import type { NDArray, Operand } from '../../array.ts';
import { defineOp, type OpCase } from '../../op.ts';
import type { Tensor, ValueType } from '../../types.ts';
import {
  countParam,
  expectDtype,
  expectShape,
  fixed,
  floats,
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
  /** What rows are stored as; without: as the floats of the cache's dtype. */
  readonly codes?: KvCodes | undefined;
}

/** Sizes of a cache `[Hkv, cap, Dh]`, or of codes u8 `[Hkv, cap, bytes of a row]`. */
export interface CacheShape {
  readonly kvHeads: number;
  readonly capacity: number;
  readonly headDim: number;
}

/** What rows hold and how: heads of `headDim` columns as codes. */
export interface CodedRows {
  readonly codes: KvCodes | undefined;
  readonly headDim: Dim | undefined;
}

/** Throws shape_mismatch, and invalid_argument for heads that codes do not fit. */
export function cacheShape(
  k: ValueType | Tensor,
  v: ValueType | Tensor,
  what: string,
  coded?: CodedRows,
): CacheShape {
  if (coded?.codes !== undefined) return codedShape(k, v, what, coded.codes, fixed(coded.headDim, what));
  if (k.shape.length !== 3 || !sameShape(k.shape, v.shape) || k.dtype !== v.dtype || !isFloat(k.dtype)) {
    shapeError(
      what,
      `expected key and value caches [Hkv, cap, Dh] of one float dtype, got ${k.dtype} ${formatShape(k.shape)} and ${v.dtype} ${formatShape(v.shape)}`,
    );
  }
  const [kvHeads = 0, capacity = 0, headDim = 0] = k.shape.map((d) => fixed(d, what));
  return { kvHeads, capacity, headDim };
}

function codedShape(
  k: ValueType | Tensor,
  v: ValueType | Tensor,
  what: string,
  codes: KvCodes,
  headDim: number,
): CacheShape {
  const { bytes } = kvRowSizes(codes, headDim);
  if (k.shape.length !== 3 || !sameShape(k.shape, v.shape) || k.dtype !== 'u8' || v.dtype !== 'u8') {
    shapeError(
      what,
      `expected key and value caches u8 [Hkv, cap, ${bytes}] of ${codes} rows, got ${k.dtype} ${formatShape(k.shape)} and ${v.dtype} ${formatShape(v.shape)}`,
    );
  }
  const [kvHeads = 0, capacity = 0, row = 0] = k.shape.map((d) => fixed(d, what));
  if (row !== bytes) shapeError(what, `a ${codes} row of ${headDim} columns has ${bytes} bytes, got ${row}`);
  return { kvHeads, capacity, headDim };
}

/** Reads row `i`, of all heads, of a cache as floats. */
export function rowReader(
  cache: Tensor,
  codes: KvCodes | undefined,
  headDim: number,
): (i: number) => Float32Array {
  if (codes !== undefined) {
    const { bytes } = kvRowSizes(codes, headDim);
    return (i) => readKvRow(codes, cache.data as Uint8Array, headDim, i * bytes);
  }
  const read = reader(cache);
  return (i) => Float32Array.from({ length: headDim }, (_, d) => read(i * headDim + d));
}

/** Writes rows `[rows, Hkv, Dh]` of one of k and v to their slots. */
export function writeRows(
  cache: Tensor,
  rows: Tensor,
  slots: readonly number[],
  codes?: KvCodes | undefined,
): void {
  if (codes !== undefined) {
    writeCodes(cache, rows, slots, codes);
    return;
  }
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

function writeCodes(cache: Tensor, rows: Tensor, slots: readonly number[], codes: KvCodes): void {
  const [kvHeads = 0, capacity = 0, bytes = 0] = cache.shape;
  const headDim = rows.shape[2] as number;
  const x = floats(rows);
  slots.forEach((slot, row) => {
    for (let h = 0; h < kvHeads; h++) {
      const from = (row * kvHeads + h) * headDim;
      const at = (h * capacity + slot) * bytes;
      writeKvRow(codes, x.subarray(from, from + headDim), cache.data as Uint8Array, at);
    }
  });
}

/** A new version of a state, as an output type. */
export const nextVersion = (t: ValueType): ValueType => ({ shape: t.shape, dtype: t.dtype, state: true });

/** The dispatch parameter kvRows. */
export const rowsParam = ({ dtype }: Pick<ValueType, 'dtype'>, codes: KvCodes | undefined): KvRowsName =>
  codes ?? (dtype as 'f32' | 'f16');
type KvRowsName = KvCodes | 'f32' | 'f16';

/** Heads of 48 columns: groups of 16, rotated ones alike. */
function codedCase(codes: KvCodes): OpCase<KvWriteAttrs> {
  const cache = { shape: [2, 8, kvRowSizes(codes, 48).bytes], dtype: 'u8' as const, state: true };
  return {
    name: codes,
    inputs: [
      cache,
      cache,
      { shape: [3, 2, 48] },
      { shape: [3, 2, 48] },
      { shape: [3], dtype: 'i32', fill: 'range' },
    ],
    attrs: { ring: 0, codes },
  };
}

/** Operands: k cache, v cache, k, v, positions, sequences and page table or null. Outputs: the caches' next versions. */
export const kvWriteOp = defineOp<KvWriteAttrs>({
  name: 'kvWrite',
  inPlace: [0, 1],
  infer: (inputs, { ring, codes }) => {
    const [kCache, vCache] = [operand(inputs, 0), operand(inputs, 1)];
    const [k, v, positions] = [operand(inputs, 2), operand(inputs, 3), operand(inputs, 4)];
    const coded = { codes, headDim: k.shape[2] };
    const { kvHeads, capacity, headDim } = cacheShape(kCache, vCache, 'kvWrite', coded);
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
  reference: (inputs, outputs, { ring, codes }) => {
    const [, capacity = 0] = output(outputs, 0).shape;
    const slotOf = slotFinder(inputs, 5, { capacity, ring }, 'kvWrite');
    const slots = Array.from(operand(inputs, 4).data, (position, row) => slotOf(row, position));
    writeRows(output(outputs, 0), operand(inputs, 2), slots, codes);
    writeRows(output(outputs, 1), operand(inputs, 3), slots, codes);
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
      const { codes, ring } = context.attrs;
      const coded = { codes, headDim: k.type.shape[2] };
      const { kvHeads, capacity, headDim } = cacheShape(kCache.type, vCache.type, 'kvWrite', coded);
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
          kvRows: rowsParam(kCache.type, codes),
          ring,
          ...pageParams(optional(context.inputs, 6), 'kvWrite'),
        },
      );
    },
  },
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [...(['f32', 'f16'] as const).flatMap(floatCases), ...kvCodes.map(codedCase)],
});

function floatCases(dtype: 'f32' | 'f16'): readonly OpCase<KvWriteAttrs>[] {
  return [
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
  ];
}

/**
 * Writes `k`, `v` `[n, Hkv, Dh]` at `positions` (i32 `[n]`) into the caches `[Hkv, cap, Dh]` (States or versions of them,
 * f32 or f16, or u8 `[Hkv, cap, bytes of a row]` for `codes`) and returns their next versions. Slots are positions, positions mod
 * `ring`, or those of a page table.
 */
export function kvWrite(
  kState: Operand,
  vState: Operand,
  k: NDArray,
  v: NDArray,
  positions: NDArray,
  options: {
    readonly ring?: number | undefined;
    readonly paged?: PageTable | undefined;
    readonly codes?: KvCodes | undefined;
  } = {},
): readonly [k: NDArray, v: NDArray] {
  const { ring = 0, paged, codes } = options;
  const pages = [paged?.sequences ?? null, paged?.pages ?? null];
  const [nextK, nextV] = k.applyMany(kvWriteOp, [kState, vState, k, v, positions, ...pages], {
    ring,
    ...(codes === undefined ? {} : { codes }),
  });
  return [nextK as NDArray, nextV as NDArray];
}

// compressedAttention: attention over the last positions of a sequence and over entries of the blocks behind, in one softmax
// (DeepSeek V4). Rows and entries are keys and values of all heads.

import { elementCount, formatShape } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp, type OpCase, type Operands } from '../../op.ts';
import type { Tensor, ValueType } from '../../types.ts';
import { maxAbs } from '../linear/packed.ts';
import { cacheShape } from '../memory/kv-write.ts';
import { checkPages, pageParams, slotsBy } from '../memory/paged.ts';
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
} from '../operands.ts';

export interface CompressedAttentionAttrs {
  readonly scale: number;
  /** A row at position p sees rows p - window + 1 … p. */
  readonly window: number;
  /** Ring of the rows, as in kvWrite. */
  readonly ring: number;
  /** Positions of a block: a row at position p sees the first (p + 1) / ratio entries, or those of them that ids name. */
  readonly ratio: number;
}

interface Shapes {
  readonly width: number;
  readonly capacity: number;
  readonly entryCapacity: number;
}

function shapesOf(rows: ValueType | Tensor, entries: ValueType | Tensor): Shapes {
  const { kvHeads, capacity, headDim } = cacheShape(rows, rows, 'compressedAttention');
  const own = cacheShape(entries, entries, 'compressedAttention');
  if (kvHeads !== 1 || own.kvHeads !== 1 || own.headDim !== headDim || rows.dtype !== entries.dtype) {
    shapeError(
      'compressedAttention',
      `rows ${rows.dtype} ${formatShape(rows.shape)} and entries ${entries.dtype} ${formatShape(entries.shape)} do not fit`,
    );
  }
  return { width: headDim, capacity, entryCapacity: own.capacity };
}

/**
 * Operands: q `[n, H, W]`, rows `[1, cap, W]`, entries `[1, ecap, W]`, ids i32 `[n, k]` or null, positions, sinks `[H]` or null,
 * sequences, pages of rows, pages of entries or null. Output `[n, H, W]`.
 */
export const compressedAttentionOp = defineOp<CompressedAttentionAttrs>({
  name: 'compressedAttention',
  infer: (inputs, { ring, ratio, window }) => {
    const what = 'compressedAttention';
    const [q, rows, entries] = [operand(inputs, 0), operand(inputs, 1), operand(inputs, 2)];
    const { width, capacity, entryCapacity } = shapesOf(rows, entries);
    if (q.shape.length !== 3 || q.shape[2] !== width)
      shapeError(what, `q ${formatShape(q.shape)} does not fit rows ${formatShape(rows.shape)}`);
    expectDtype(q, ['f32'], `${what}: q`);
    if (ratio < 1 || window < 1) shapeError(what, `ratio ${ratio} and window ${window} must be at least 1`);
    const count = q.shape.slice(0, 1);
    const ids = optional(inputs, 3);
    if (ids !== null) {
      expectDtype(ids, ['i32'], `${what}: ids`);
      if (ids.shape.length !== 2 || ids.shape[0] !== q.shape[0])
        shapeError(what, `ids ${formatShape(ids.shape)} do not fit q ${formatShape(q.shape)}`);
    }
    expectDtype(operand(inputs, 4), ['i32'], `${what}: positions`);
    expectShape(operand(inputs, 4), count, `${what}: positions`);
    const sinks = optional(inputs, 5);
    if (sinks !== null) expectShape(sinks, q.shape.slice(1, 2), `${what}: sinks`);
    const [sequences, rowPages, entryPages] = [6, 7, 8].map((i) => optional(inputs, i) ?? null);
    checkPages([sequences ?? null, rowPages ?? null], 0, count, { capacity, ring }, what);
    const form = { capacity: entryCapacity, ring: 0, ratio };
    checkPages([sequences ?? null, entryPages ?? null], 0, count, form, what);
    return [{ shape: q.shape, dtype: 'f32' }];
  },
  reference,
  vjp: 'none', // reads a cache
  kernel: {
    emit: (context) => {
      const { inputs, attrs } = context;
      const [q, rows, entries] = [operand(inputs, 0), operand(inputs, 1), operand(inputs, 2)];
      const { width, capacity, entryCapacity } = shapesOf(rows.type, entries.type);
      const ids = optional(inputs, 3);
      context.emit(
        'compressed_attention',
        {
          q,
          rowCache: rows,
          entries,
          ids,
          positions: operand(inputs, 4),
          sinks: optional(inputs, 5),
          sequences: optional(inputs, 6),
          rowPages: optional(inputs, 7),
          entryPages: optional(inputs, 8),
          y: operand(context.outputs, 0),
        },
        {
          rows: countParam(elementCount(q.type.shape.slice(0, 1))),
          H: fixed(q.type.shape[1], 'compressedAttention'),
          W: width,
          cap: capacity,
          ring: attrs.ring,
          entryCap: entryCapacity,
          kvDtype: rows.type.dtype,
          k: ids === null ? 0 : fixed(ids.type.shape[1], 'compressedAttention'),
          window: attrs.window,
          ratio: attrs.ratio,
          scale: attrs.scale,
          ...pageParams(optional(inputs, 7), 'compressedAttention'),
        },
      );
    },
  },
  tolerance: (inputs, _, { scale }) => {
    const [q, rows, entries] = [0, 1, 2].map((i) => maxAbs(floats(operand(inputs, i))));
    const W = operand(inputs, 0).shape[2] ?? 1;
    const most = Math.max(rows ?? 0, entries ?? 0);
    // A score's rounding is a relative error of its weight; then the sums over what is seen.
    const scores = W * (q ?? 0) * most * scale * 2 ** -23;
    return { absolute: (2 * scores + 64 * 2 ** -23) * most, relative: 0 };
  },
  cases: cases(),
});

function reference(
  inputs: Operands<Tensor>,
  outputs: readonly Tensor[],
  { scale, window, ring, ratio }: CompressedAttentionAttrs,
): void {
  const [q, rows, entries] = [operand(inputs, 0), operand(inputs, 1), operand(inputs, 2)];
  const { width: W, capacity, entryCapacity } = shapesOf(rows, entries);
  const [sequences, rowPages, entryPages] = [6, 7, 8].map((i) => optional(inputs, i) ?? null);
  const what = 'compressedAttention';
  const rowSlot = slotsBy([sequences ?? null, rowPages ?? null], { capacity, ring }, what);
  const form = { capacity: entryCapacity, ring: 0, ratio };
  const entrySlot = slotsBy([sequences ?? null, entryPages ?? null], form, what);
  const [ids, sinks] = [optional(inputs, 3), optional(inputs, 5)];
  const positions = operand(inputs, 4).data;
  const [x, rowAt, entryAt] = [floats(q), reader(rows), reader(entries)];
  const H = q.shape[1] as number;
  const out = output(outputs).data;
  positions.forEach((position, row) => {
    const count = Math.floor((position + 1) / ratio);
    const k = ids?.shape[1] ?? 0;
    const seen = ids
      ? Array.from(ids.data.slice(row * k, (row + 1) * k)).filter((id) => id >= 0)
      : Array.from({ length: count }, (_, block) => block);
    const first = Math.max(0, position - window + 1);
    const vectors = [
      ...Array.from({ length: position - first + 1 }, (_, i) => {
        const at = rowSlot(row, first + i) * W;
        return (d: number) => rowAt(at + d);
      }),
      ...seen.map((block) => {
        const at = entrySlot(row, block) * W;
        return (d: number) => entryAt(at + d);
      }),
    ];
    for (let h = 0; h < H; h++) {
      const item = (row * H + h) * W;
      const scores = vectors.map((at) => {
        let dot = 0;
        for (let d = 0; d < W; d++) dot += (x[item + d] as number) * at(d);
        return dot * scale;
      });
      const sink = sinks === null ? Number.NEGATIVE_INFINITY : (floats(sinks)[h] as number);
      const max = scores.reduce((a, b) => Math.max(a, b), sink);
      const weights = scores.map((score) => Math.exp(score - max));
      const sum = weights.reduce((a, b) => a + b, Math.exp(sink - max));
      for (let d = 0; d < W; d++)
        out[item + d] = vectors.reduce((a, at, i) => a + (weights[i] ?? 0) * at(d), 0) / sum;
    }
  });
}

function cases(): readonly OpCase<CompressedAttentionAttrs>[] {
  const i32 = (shape: readonly number[], values: readonly number[]) => ({
    shape,
    dtype: 'i32' as const,
    values,
  });
  const inputs = (rows: number, slots: number, entries: number, dtype: 'f32' | 'f16') => [
    { shape: [rows, 3, 20] },
    { shape: [1, slots, 20], dtype, state: true },
    { shape: [1, entries, 20], dtype, state: true },
  ];
  const none = [null, null, null];
  const attrs = { scale: 0.3, window: 6, ring: 0, ratio: 4 };
  return [
    {
      name: 'all entries',
      inputs: [...inputs(3, 24, 6, 'f32'), null, i32([3], [2, 3, 21]), { shape: [3] }, ...none],
      attrs,
    },
    {
      name: 'a ring and chosen entries',
      inputs: [
        ...inputs(2, 9, 6, 'f16'),
        i32([2, 3], [0, 2, -1, -1, -1, -1]),
        i32([2], [13, 2]),
        null,
        ...none,
      ],
      attrs: { ...attrs, ring: 9 },
    },
    {
      name: 'pages',
      inputs: [
        ...inputs(3, 96, 24, 'f32'),
        i32([3, 2], [0, 11, 1, 9, 0, -1]),
        i32([3], [50, 51, 9]),
        { shape: [3] },
        i32([3], [0, 0, 1]),
        i32([2, 2], [2, 0, 1, -1]),
        i32([2, 2], [1, 2, 0, -1]),
      ],
      attrs,
    },
    {
      name: 'blocks longer than pages',
      inputs: [
        ...inputs(2, 96, 3, 'f32'),
        null,
        i32([2], [127, 70]),
        { shape: [3] },
        i32([2], [0, 1]),
        i32([2, 4], [-1, -1, -1, 0, -1, -1, 2, -1]),
        i32([2, 4], [-1, 1, -1, 2, -1, 0, -1, -1]),
      ],
      attrs: { ...attrs, ratio: 64 },
    },
  ];
}

export interface CompressedAttentionOptions {
  readonly scale: number;
  readonly window: number;
  readonly ratio: number;
  readonly sinks?: NDArray | undefined;
  readonly ring?: number | undefined;
  readonly sequences?: NDArray | undefined;
  readonly rowPages?: NDArray | undefined;
  readonly entryPages?: NDArray | undefined;
}

/**
 * Row i of `q [n, H, W]` attends to the last `window` rows up to positions[i] in `rows` `[1, cap, W]` and to the entries
 * `[1, ecap, W]` of blocks of `ratio` positions that end at or before it, or to those that row i of ids i32 `[n, k]` names (-1:
 * none), with a sink for each head where there are some: `[n, H, W]`.
 */
export function compressedAttention(
  q: NDArray,
  seen: { readonly rows: NDArray; readonly entries: NDArray; readonly ids?: NDArray | undefined },
  positions: NDArray,
  options: CompressedAttentionOptions,
): NDArray {
  const { scale, window, ratio, sinks, ring = 0, sequences, rowPages, entryPages } = options;
  const tables = [sequences ?? null, rowPages ?? null, entryPages ?? null];
  return q.apply(
    compressedAttentionOp,
    [q, seen.rows, seen.entries, seen.ids ?? null, positions, sinks ?? null, ...tables],
    { scale, window, ratio, ring },
  );
}

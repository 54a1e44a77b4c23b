// blockWrite: entries of the blocks that rows complete, of values and gates that were kept of their positions (DeepSeek V4's compressors).

import { elementCount, formatShape } from '../../../base/shape.ts';
import type { NDArray, Operand } from '../../array.ts';
import { defineOp, type OpCase, type Operands } from '../../op.ts';
import type { Tensor, ValueType } from '../../types.ts';
import { maxAbs } from '../linear/packed.ts';
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
import { cacheShape, nextVersion } from './kv-write.ts';
import { checkPages, pageParams, slotsBy } from './paged.ts';

export interface BlockWriteAttrs {
  /** Positions of a block. */
  readonly ratio: number;
  /** An entry is made of the block before as well. */
  readonly overlap: boolean;
  readonly eps: number;
  /** On sine and cosine. */
  readonly factor: number;
  /** Ring of the pending rows, as in kvWrite. */
  readonly ring: number;
}

interface BlockShape {
  readonly width: number;
  /** Columns of a value or gate: the width, or twice it. */
  readonly columns: number;
  readonly capacity: number;
  readonly pendingCapacity: number;
}

function blockShape(
  entries: ValueType | Tensor,
  pending: ValueType | Tensor,
  { overlap }: BlockWriteAttrs,
): BlockShape {
  const { kvHeads, capacity, headDim: width } = cacheShape(entries, entries, 'blockWrite');
  const { kvHeads: heads, capacity: pendingCapacity, headDim } = cacheShape(pending, pending, 'blockWrite');
  const columns = overlap ? 2 * width : width;
  if (kvHeads !== 1 || heads !== 1 || headDim !== 2 * columns || entries.dtype !== pending.dtype) {
    shapeError(
      'blockWrite',
      `pending rows ${pending.dtype} ${formatShape(pending.shape)} do not fit entries ${entries.dtype} ${formatShape(entries.shape)}`,
    );
  }
  return { width, columns, capacity, pendingCapacity };
}

/**
 * Operands: entries `[1, cap, W]`, pending `[1, pcap, 2 C]`, positions, bias `[ratio * C]`, norm `[W]`, frequencies `[R / 2]`,
 * sequences, pages of pending, pages of entries or null. Output: the entries' next version.
 */
export const blockWriteOp = defineOp<BlockWriteAttrs>({
  name: 'blockWrite',
  inPlace: [0],
  infer: (inputs, attrs) => {
    const { ratio, ring } = attrs;
    const [entries, pending, positions] = [operand(inputs, 0), operand(inputs, 1), operand(inputs, 2)];
    const { width, columns, capacity, pendingCapacity } = blockShape(entries, pending, attrs);
    if (!Number.isInteger(ratio) || ratio < 1)
      shapeError('blockWrite', `ratio must be at least 1, got ${ratio}`);
    expectDtype(positions, ['i32'], 'blockWrite: positions');
    if (positions.shape.length !== 1) shapeError('blockWrite', 'positions must be a vector');
    expectShape(operand(inputs, 3), [ratio * columns], 'blockWrite: bias');
    expectShape(operand(inputs, 4), [width], 'blockWrite: norm');
    const frequencies = operand(inputs, 5);
    if (frequencies.shape.length !== 1 || 2 * fixed(frequencies.shape[0], 'blockWrite') > width)
      shapeError('blockWrite', `${formatShape(frequencies.shape)} frequencies for ${width} columns`);
    const rows = positions.shape;
    const [sequences, pendingPages, entryPages] = [6, 7, 8].map((i) => optional(inputs, i));
    checkPages(
      [sequences ?? null, pendingPages ?? null],
      0,
      rows,
      { capacity: pendingCapacity, ring },
      'blockWrite',
    );
    checkPages([sequences ?? null, entryPages ?? null], 0, rows, { capacity, ring: 0, ratio }, 'blockWrite');
    return [nextVersion(entries)];
  },
  reference,
  vjp: 'none', // updates memory
  kernel: {
    emit: (context) => {
      const { inputs, attrs } = context;
      const [entries, pending, positions] = [
        operand(context.outputs, 0),
        operand(inputs, 1),
        operand(inputs, 2),
      ];
      const { width, capacity, pendingCapacity } = blockShape(entries.type, pending.type, attrs);
      const frequencies = operand(inputs, 5);
      context.emit(
        'block_write',
        {
          entries,
          pending,
          positions,
          bias: operand(inputs, 3),
          norm: operand(inputs, 4),
          frequencies,
          sequences: optional(inputs, 6),
          pendingPages: optional(inputs, 7),
          entryPages: optional(inputs, 8),
        },
        {
          rows: countParam(elementCount(positions.type.shape)),
          W: width,
          R: 2 * fixed(frequencies.type.shape[0], 'blockWrite'),
          ratio: attrs.ratio,
          overlap: attrs.overlap,
          cap: capacity,
          pendingCap: pendingCapacity,
          ring: attrs.ring,
          kvDtype: entries.type.dtype,
          eps: attrs.eps,
          factor: attrs.factor,
          ...pageParams(optional(inputs, 7), 'blockWrite'),
        },
      );
    },
  },
  tolerance: (inputs, _, { ratio }) => {
    const [pending, norm] = [operand(inputs, 1), operand(inputs, 4)];
    // Weights differ by roundings of gates; a norm brings the sum to the size of its weights, whatever it was.
    const error = (maxAbs(floats(pending)) + ratio) * 2 ** -20;
    const half = pending.dtype === 'f16' ? 2 ** -10 : 0;
    return { absolute: 4 * (error + half) * maxAbs(floats(norm)), relative: half };
  },
  cases: cases(),
});

function reference(inputs: Operands<Tensor>, outputs: readonly Tensor[], attrs: BlockWriteAttrs): void {
  const { ratio, overlap, eps, factor, ring } = attrs;
  const [pending, positions] = [operand(inputs, 1), operand(inputs, 2).data];
  const entries = output(outputs);
  const { width: W, columns: C, capacity, pendingCapacity } = blockShape(entries, pending, attrs);
  const [bias, norm, frequencies] = [3, 4, 5].map((i) => floats(operand(inputs, i)));
  const [sequences, pendingPages, entryPages] = [6, 7, 8].map((i) => optional(inputs, i) ?? null);
  const pendingSlot = slotsBy(
    [sequences ?? null, pendingPages ?? null],
    { capacity: pendingCapacity, ring },
    'blockWrite',
  );
  const entrySlot = slotsBy(
    [sequences ?? null, entryPages ?? null],
    { capacity, ring: 0, ratio },
    'blockWrite',
  );
  const [read, write] = [reader(pending), writer(entries)];
  positions.forEach((position, row) => {
    if ((position + 1) % ratio !== 0) return;
    const start = position + 1 - ratio;
    const entry = new Float64Array(W);
    // What goes into an entry of a column: the block before by the first series, the block itself by the last.
    const sources = (overlap && start > 0 ? [0, 1] : [1]).flatMap((own) =>
      Array.from({ length: ratio }, (_, j) => ({
        at: pendingSlot(row, start + (own - 1) * ratio + j) * 2 * C + own * (C - W),
        bias: j * C + own * (C - W),
      })),
    );
    for (let d = 0; d < W; d++) {
      const gates = sources.map((source) => read(source.at + C + d) + (bias?.[source.bias + d] ?? 0));
      const max = Math.max(...gates);
      const weights = gates.map((gate) => Math.exp(gate - max));
      const sum = weights.reduce((a, b) => a + b, 0);
      entry[d] = sources.reduce((total, { at }, i) => total + (weights[i] ?? 0) * read(at + d), 0) / sum;
    }
    const scale = 1 / Math.sqrt(entry.reduce((sum, x) => sum + x * x, 0) / W + eps);
    for (let d = 0; d < W; d++) entry[d] = (entry[d] ?? 0) * scale * (norm?.[d] ?? 0);
    const first = W - 2 * (frequencies?.length ?? 0);
    frequencies?.forEach((frequency, i) => {
      const angle = Math.fround(start * frequency);
      const [a = 0, b = 0] = entry.slice(first + 2 * i, first + 2 * i + 2);
      const [sin, cos] = [Math.sin(angle) * factor, Math.cos(angle) * factor];
      entry.set([a * cos - b * sin, b * cos + a * sin], first + 2 * i);
    });
    const at = entrySlot(row, start / ratio) * W;
    for (let d = 0; d < W; d++) write(at + d, entry[d] ?? 0);
  });
}

function cases(): readonly OpCase<BlockWriteAttrs>[] {
  const i32 = (values: readonly number[]) => ({ shape: [values.length], dtype: 'i32' as const, values });
  const inputs = (sizes: {
    slots: number;
    pending: number;
    ratio: number;
    columns: number;
    dtype?: 'f32' | 'f16';
  }) => [
    { shape: [1, sizes.slots, 20], dtype: sizes.dtype ?? 'f32', state: true },
    { shape: [1, sizes.pending, 2 * sizes.columns], dtype: sizes.dtype ?? 'f32', state: true },
  ];
  const rule = (ratio: number, columns: number) => [
    { shape: [ratio * columns] },
    { shape: [20] },
    { shape: [3], fill: 'positive' as const },
  ];
  const attrs = { eps: 1e-6, factor: 1, ring: 0 };
  return [
    {
      name: 'blocks of 4 that overlap',
      inputs: [
        ...inputs({ slots: 6, pending: 24, ratio: 4, columns: 40 }),
        i32([3, 6, 7, 8, 9, 10, 11]),
        ...rule(4, 40),
        null,
        null,
        null,
      ],
      attrs: { ...attrs, ratio: 4, overlap: true },
    },
    {
      name: 'a ring',
      inputs: [
        ...inputs({ slots: 6, pending: 11, ratio: 8, columns: 20 }),
        i32([14, 15, 16, 23]),
        ...rule(8, 20),
        null,
        null,
        null,
      ],
      attrs: { ...attrs, ratio: 8, overlap: false, ring: 11, factor: 1.2 },
    },
    {
      name: 'pages f16',
      inputs: [
        ...inputs({ slots: 24, pending: 96, ratio: 4, columns: 40, dtype: 'f16' }),
        i32([35, 36, 31]),
        ...rule(4, 40),
        i32([0, 0, 1]),
        { shape: [2, 2], dtype: 'i32', values: [0, 2, 1, -1] },
        { shape: [2, 2], dtype: 'i32', values: [1, 0, 2, -1] },
      ],
      attrs: { ...attrs, ratio: 4, overlap: true },
    },
    {
      name: 'blocks longer than pages',
      inputs: [
        ...inputs({ slots: 2, pending: 128, ratio: 64, columns: 20 }),
        i32([62, 63]),
        ...rule(64, 20),
        i32([0, 0]),
        { shape: [1, 2], dtype: 'i32', values: [3, 1] },
        { shape: [1, 2], dtype: 'i32', values: [-1, 1] },
      ],
      attrs: { ...attrs, ratio: 64, overlap: false },
    },
  ];
}

/** What makes an entry of the rows of a block. */
export interface BlockWriteRule {
  /** `[ratio * C]`, added to the gates of a block's positions. */
  readonly bias: NDArray;
  /** `[W]`: weight of the RMS norm. */
  readonly norm: NDArray;
  readonly eps: number;
  /** `[R / 2]`: the last R columns rotate in neighbouring pairs. */
  readonly frequencies: NDArray;
  readonly factor: number;
}

export interface BlockWriteOptions {
  readonly ratio: number;
  readonly overlap: boolean;
  readonly ring?: number | undefined;
  readonly sequences?: NDArray | undefined;
  readonly pendingPages?: NDArray | undefined;
  readonly entryPages?: NDArray | undefined;
}

/**
 * For each row whose position ends a block of `ratio` positions: each column of its entry is the mean of the block's values
 * weighted by a softmax of gates + bias; normalised, rotated by the block's first position, stored as the block's entry in `[1, cap,
 * W]`. Pending rows `[1, pcap, 2 C]` (the version that rowWrite returned) hold values, then gates. Where blocks overlap, C is
 * 2 W: first what a position gives to the next block's entry, then to its own. https://huggingface.co/deepseek-ai/DeepSeek-V4-Flash
 */
export function blockWrite(
  entries: Operand,
  pending: NDArray,
  positions: NDArray,
  rule: BlockWriteRule,
  options: BlockWriteOptions,
): NDArray {
  const { bias, norm, frequencies, eps, factor } = rule;
  const { ratio, overlap, ring = 0, sequences, pendingPages, entryPages } = options;
  const tables = [sequences ?? null, pendingPages ?? null, entryPages ?? null];
  const [next] = pending.applyMany(
    blockWriteOp,
    [entries, pending, positions, bias, norm, frequencies, ...tables],
    { ratio, overlap, eps, factor, ring },
  );
  return next as NDArray;
}

// chosenAttention: attention over listed positions, whose rows are keys and values of all heads.

import { elementCount, formatShape } from '../../../base/shape.ts';
import type { NDArray, Operand } from '../../array.ts';
import { defineOp, type OpCase } from '../../op.ts';
import { maxAbs } from '../linear/packed.ts';
import { cacheShape } from '../memory/kv-write.ts';
import { checkPages, type PageTable, pageParams, slotFinder } from '../memory/paged.ts';
import {
  countParam,
  expectDtype,
  fixed,
  floats,
  operand,
  optional,
  output,
  reader,
  shapeError,
} from '../operands.ts';

export interface ChosenAttentionAttrs {
  readonly scale: number;
}

/** Operands: q `[n, H, W]`, cache `[1, cap, W]`, ids i32 `[n, k]`, sequences and page table or null. Output `[n, H, W]`. */
export const chosenAttentionOp = defineOp<ChosenAttentionAttrs>({
  name: 'chosenAttention',
  infer: (inputs) => {
    const [q, cache, ids] = [operand(inputs, 0), operand(inputs, 1), operand(inputs, 2)];
    const { kvHeads, capacity, headDim } = cacheShape(cache, cache, 'chosenAttention');
    if (kvHeads !== 1 || q.shape.length !== 3 || q.shape[2] !== headDim) {
      shapeError(
        'chosenAttention',
        `q ${formatShape(q.shape)} does not fit rows ${formatShape(cache.shape)}`,
      );
    }
    expectDtype(q, ['f32'], 'chosenAttention: q');
    expectDtype(ids, ['i32'], 'chosenAttention: ids');
    if (ids.shape.length !== 2)
      shapeError('chosenAttention', `ids must be [n, k], got ${formatShape(ids.shape)}`);
    checkPages(inputs, 3, q.shape.slice(0, 1), { capacity, ring: 0 }, 'chosenAttention');
    return [{ shape: q.shape, dtype: 'f32' }];
  },
  reference: (inputs, outputs, { scale }) => {
    const [q, cache, ids] = [operand(inputs, 0), operand(inputs, 1), operand(inputs, 2)];
    const { capacity, headDim: W } = cacheShape(cache, cache, 'chosenAttention');
    const slotOf = slotFinder(inputs, 3, { capacity, ring: 0 }, 'chosenAttention');
    const [rows = 0, H = 0] = q.shape;
    const [, k = 0] = ids.shape;
    const [x, rowAt] = [floats(q), reader(cache)];
    const out = output(outputs).data;
    for (let item = 0; item < rows * H; item++) {
      const row = Math.floor(item / H);
      const seen = Array.from(ids.data.slice(row * k, (row + 1) * k)).filter((id) => id >= 0);
      const slots = seen.map((id) => slotOf(row, id));
      const scores = slots.map((slot) => {
        let dot = 0;
        for (let d = 0; d < W; d++) dot += (x[item * W + d] as number) * rowAt(slot * W + d);
        return dot * scale;
      });
      const max = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      const weights = scores.map((score) => Math.exp(score - max));
      const sum = weights.reduce((a, b) => a + b, 0);
      for (let d = 0; d < W; d++) {
        out[item * W + d] =
          slots.reduce((a, slot, i) => a + (weights[i] ?? 0) * rowAt(slot * W + d), 0) / sum;
      }
    }
  },
  vjp: 'none', // reads a cache
  kernel: {
    emit: (context) => {
      const { inputs, attrs } = context;
      const [q, cache, ids] = [operand(inputs, 0), operand(inputs, 1), operand(inputs, 2)];
      const { capacity, headDim } = cacheShape(cache.type, cache.type, 'chosenAttention');
      const pageTable = optional(inputs, 4);
      context.emit(
        'chosen_attention',
        { q, cache, ids, sequences: optional(inputs, 3), pageTable, y: operand(context.outputs, 0) },
        {
          rows: countParam(elementCount(q.type.shape.slice(0, 1))),
          H: fixed(q.type.shape[1], 'chosenAttention'),
          W: headDim,
          cap: capacity,
          kvDtype: cache.type.dtype,
          k: fixed(ids.type.shape[1], 'chosenAttention'),
          scale: attrs.scale,
          ...pageParams(pageTable, 'chosenAttention'),
        },
      );
    },
  },
  tolerance: (inputs, _, { scale }) => {
    const [q, rows] = [operand(inputs, 0), operand(inputs, 1)].map((t) => maxAbs(floats(t)));
    const W = operand(inputs, 0).shape[2] ?? 1;
    // A score's rounding is a relative error of its weight; then the sums over positions.
    const scores = W * (q ?? 0) * (rows ?? 0) * scale * 2 ** -23;
    return { absolute: (2 * scores + 64 * 2 ** -23) * (rows ?? 0), relative: 0 };
  },
  flops: (inputs) =>
    4 *
    fixed(operand(inputs, 2).shape[1], 'chosenAttention') *
    fixed(operand(inputs, 0).shape[2], 'chosenAttention'),
  cases: cases(),
});

function cases(): readonly OpCase<ChosenAttentionAttrs>[] {
  const inputs = (dtype: 'f32' | 'f16', ids: readonly number[]) => [
    { shape: [2, 3, 20] },
    { shape: [1, 96, 20], dtype, state: true },
    { shape: [2, ids.length / 2], dtype: 'i32' as const, values: ids },
  ];
  const sequences = { shape: [2], dtype: 'i32' as const, values: [0, 1] };
  const pages = { shape: [2, 2], dtype: 'i32' as const, values: [2, 0, 1, -1] };
  const attrs = { scale: 0.3 };
  return [
    { name: 'one sequence', inputs: [...inputs('f32', [0, 17, 95, 3, -1, -1]), null, null], attrs },
    { name: 'pages f16', inputs: [...inputs('f16', [0, 40, 63, 31, 2, -1]), sequences, pages], attrs },
  ];
}

/**
 * Row i of `q [n, H, W]` attends to the positions of row i of ids i32 `[n, k]` (-1: none; at least one is there) of its own
 * sequence, whose rows in the cache `[1, cap, W]` are keys and values of all heads: `[n, H, W]`.
 */
export function chosenAttention(
  q: NDArray,
  cache: Operand,
  ids: NDArray,
  options: { readonly scale: number; readonly paged?: PageTable | undefined },
): NDArray {
  const { scale, paged } = options;
  const tables = [paged?.sequences ?? null, paged?.pages ?? null];
  return q.apply(chosenAttentionOp, [q, cache, ids, ...tables], { scale });
}

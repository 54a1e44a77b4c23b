// indexTopk: which of the positions before a row it attends to: the indexer of DeepSeek V3.2 (https://arxiv.org/abs/2512.02556).

import { elementCount, formatShape } from '../../../base/shape.ts';
import type { NDArray, Operand } from '../../array.ts';
import { defineOp, type OpCase } from '../../op.ts';
import { cacheShape } from '../memory/kv-write.ts';
import { checkPages, type PageTable, pageParams, slotFinder } from '../memory/paged.ts';
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

export interface IndexTopkAttrs {
  readonly k: number;
  /** Keys are of blocks of so many positions; a row sees those that end at or before it. 1: of positions. */
  readonly ratio: number;
}

/** Operands: query `[n, H, D]`, weights `[n, H]`, keys `[1, cap, D]`, positions, sequences and page table or null. */
export const indexTopkOp = defineOp<IndexTopkAttrs>({
  name: 'indexTopk',
  infer: (inputs, { k, ratio }) => {
    const [query, weights, keys] = [operand(inputs, 0), operand(inputs, 1), operand(inputs, 2)];
    const { kvHeads, capacity, headDim } = cacheShape(keys, keys, 'indexTopk');
    if (kvHeads !== 1 || query.shape.length !== 3 || query.shape[2] !== headDim) {
      shapeError(
        'indexTopk',
        `queries ${formatShape(query.shape)} do not fit keys ${formatShape(keys.shape)}`,
      );
    }
    if (!Number.isInteger(k) || k < 1) shapeError('indexTopk', `k must be at least 1, got ${k}`);
    expectDtype(query, ['f32'], 'indexTopk: queries');
    expectShape(weights, query.shape.slice(0, 2), 'indexTopk: weights');
    expectDtype(operand(inputs, 3), ['i32'], 'indexTopk: positions');
    const rows = query.shape.slice(0, 1);
    expectShape(operand(inputs, 3), rows, 'indexTopk: positions');
    if (!Number.isInteger(ratio) || ratio < 1)
      shapeError('indexTopk', `ratio must be at least 1, got ${ratio}`);
    checkPages(inputs, 4, rows, { capacity, ring: 0, ratio }, 'indexTopk');
    return [{ shape: [...rows, k], dtype: 'i32' }];
  },
  reference: (inputs, outputs, { k, ratio }) => {
    const [query, keys] = [operand(inputs, 0), operand(inputs, 2)];
    const [q, w, keyAt] = [floats(query), floats(operand(inputs, 1)), reader(keys)];
    const { capacity, headDim: D } = cacheShape(keys, keys, 'indexTopk');
    const slotOf = slotFinder(inputs, 4, { capacity, ring: 0, ratio }, 'indexTopk');
    const H = query.shape[1] as number;
    const ids = output(outputs).data;
    operand(inputs, 3).data.forEach((position, row) => {
      const scores = Array.from({ length: Math.floor((position + 1) / ratio) }, (_, j) => {
        const slot = slotOf(row, j);
        let sum = 0;
        for (let h = 0; h < H; h++) {
          let dot = 0;
          for (let d = 0; d < D; d++) dot += (q[(row * H + h) * D + d] as number) * keyAt(slot * D + d);
          sum += (w[row * H + h] as number) * Math.max(0, dot);
        }
        return sum;
      });
      const best = scores.map((_, j) => j).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b);
      const chosen = best.slice(0, k).sort((a, b) => a - b);
      for (let i = 0; i < k; i++) ids[row * k + i] = chosen[i] ?? -1;
    });
  },
  vjp: 'none', // reads a cache
  kernel: {
    emit: (context) => {
      const { inputs, attrs } = context;
      const [query, keys] = [operand(inputs, 0), operand(inputs, 2)];
      const { capacity, headDim } = cacheShape(keys.type, keys.type, 'indexTopk');
      const pageTable = optional(inputs, 5);
      context.emit(
        'index_topk',
        {
          query,
          weights: operand(inputs, 1),
          keys,
          positions: operand(inputs, 3),
          sequences: optional(inputs, 4),
          pageTable,
          ids: operand(context.outputs, 0),
        },
        {
          rows: countParam(elementCount(query.type.shape.slice(0, 1))),
          H: fixed(query.type.shape[1], 'indexTopk'),
          D: headDim,
          cap: capacity,
          kvDtype: keys.type.dtype,
          k: attrs.k,
          ratio: attrs.ratio,
          ...pageParams(pageTable, 'indexTopk'),
        },
      );
    },
  },
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: cases(),
});

function cases(): readonly OpCase<IndexTopkAttrs>[] {
  const inputs = (rows: number, positions: readonly number[], dtype: 'f32' | 'f16') => [
    { shape: [rows, 3, 20] },
    { shape: [rows, 3] },
    { shape: [1, 96, 20], dtype, state: true },
    { shape: [rows], dtype: 'i32' as const, values: positions },
  ];
  const pages = { shape: [2, 2], dtype: 'i32' as const, values: [2, 0, 1, -1] };
  return [
    {
      name: 'few positions',
      inputs: [...inputs(3, [0, 2, 3], 'f32'), null, null],
      attrs: { k: 4, ratio: 1 },
    },
    { name: 'one sequence', inputs: [...inputs(2, [40, 90], 'f16'), null, null], attrs: { k: 7, ratio: 1 } },
    {
      name: 'pages',
      inputs: [...inputs(3, [50, 51, 30], 'f32'), { shape: [3], dtype: 'i32', values: [0, 0, 1] }, pages],
      attrs: { k: 6, ratio: 1 },
    },
    { name: 'blocks', inputs: [...inputs(3, [2, 11, 90], 'f32'), null, null], attrs: { k: 5, ratio: 4 } },
    {
      name: 'blocks in pages',
      inputs: [
        ...inputs(3, [50, 3, 63], 'f16').with(2, { shape: [1, 24, 20], dtype: 'f16', state: true }),
        { shape: [3], dtype: 'i32', values: [0, 0, 1] },
        { shape: [2, 2], dtype: 'i32', values: [2, 0, 1, 2] },
      ],
      attrs: { k: 6, ratio: 4 },
    },
    {
      name: 'blocks longer than pages',
      inputs: [
        ...inputs(2, [127, 200], 'f32').with(2, { shape: [1, 3, 20], dtype: 'f32', state: true }),
        { shape: [2], dtype: 'i32', values: [0, 1] },
        { shape: [2, 7], dtype: 'i32', values: [-1, 1, -1, 2, -1, -1, -1, -1, 0, -1, 2, -1, 1, -1] },
      ],
      attrs: { k: 2, ratio: 64 },
    },
  ];
}

/**
 * For each row of queries `[n, H, D]` with weights `[n, H]`, the k positions up to its own whose keys `[1, cap, D]` have the
 * largest sum over heads of weight * max(0, query · key): i32 `[n, k]`, ascending, -1 where there are fewer. With `ratio`, the k
 * blocks of so many positions that end at or before its own.
 */
export function indexTopk(
  query: NDArray,
  weights: NDArray,
  keys: Operand,
  positions: NDArray,
  options: {
    readonly k: number;
    readonly ratio?: number | undefined;
    readonly paged?: PageTable | undefined;
  },
): NDArray {
  const { k, ratio = 1, paged } = options;
  const tables = [paged?.sequences ?? null, paged?.pages ?? null];
  return query.apply(indexTopkOp, [query, weights, keys, positions, ...tables], { k, ratio });
}

// attention: causal attention over a key-value cache, with grouped heads, sliding window, soft cap and sinks.

import { elementCount, formatShape, maxElements } from '../../../base/shape.ts';
import type { KernelPrecision } from '../../../kernel/signature.ts';
import type { KvCodes } from '../../../quant/kv-rows.ts';
import type { NDArray, Operand } from '../../array.ts';
import { defineOp, type OpCase, type Operands } from '../../op.ts';
import type { Tensor } from '../../types.ts';
import { maxAbs } from '../linear/packed.ts';
import { cacheShape, rowReader, rowsParam } from '../memory/kv-write.ts';
import { checkPages, type PageTable, pageParams, slotFinder } from '../memory/paged.ts';
import {
  countParam,
  expectDtype,
  expectFloat,
  expectShape,
  fixed,
  floats,
  numel,
  operand,
  optional,
  output,
  shapeError,
  writeFloats,
} from '../operands.ts';

export interface AttentionAttrs {
  readonly scale: number;
  /** 0: all keys; w: a row at position p sees keys p-w+1 … p. */
  readonly window: number;
  /** 0: none; c: scores become c tanh(score / c). */
  readonly softcap: number;
  /** As in kvWrite. */
  readonly ring: number;
  readonly precision: AttentionPrecision;
  /** As in kvWrite. */
  readonly codes?: KvCodes | undefined;
}

/** `fast`: from an f16 cache, queries, keys, weights and values may be rounded to bf16. */
export type AttentionPrecision = Exclude<KernelPrecision, 'fine'>;

/** Operands: q `[n, H, Dh]`, k cache, v cache, positions, sinks `[H]` or null, sequences and page table or null. */
export const attentionOp = defineOp<AttentionAttrs>({
  name: 'attention',
  infer: (inputs, { ring, codes }) => {
    const q = operand(inputs, 0);
    expectFloat(q, 'attention');
    const coded = { codes, headDim: q.shape[2] };
    const { kvHeads, capacity, headDim } = cacheShape(
      operand(inputs, 1),
      operand(inputs, 2),
      'attention',
      coded,
    );
    if (q.shape.length !== 3 || q.shape[2] !== headDim || fixed(q.shape[1], 'attention') % kvHeads !== 0) {
      shapeError(
        'attention',
        `q ${formatShape(q.shape)} [n, H, Dh] does not fit ${kvHeads} key heads of ${headDim}`,
      );
    }
    expectDtype(operand(inputs, 3), ['i32'], 'attention: positions');
    expectShape(operand(inputs, 3), q.shape.slice(0, 1), 'attention: positions');
    const sinks = optional(inputs, 4);
    if (sinks !== null) expectShape(sinks, q.shape.slice(1, 2), 'attention: sinks');
    checkPages(inputs, 5, q.shape.slice(0, 1), { capacity, ring }, 'attention');
    return [{ shape: q.shape, dtype: q.dtype }];
  },
  reference: (inputs, outputs, attrs) => {
    const q = operand(inputs, 0);
    const positions = operand(inputs, 3).data;
    const [, heads = 0, headDim = 0] = q.shape;
    const x = floats(q);
    const capacity = operand(inputs, 1).shape[1] as number;
    const slotOf = slotFinder(inputs, 5, { capacity, ring: attrs.ring }, 'attention');
    writeFloats(output(outputs), (out) => {
      for (let row = 0; row < positions.length; row++) {
        const position = positions[row] as number;
        const first = attrs.window > 0 ? Math.max(0, position - attrs.window + 1) : 0;
        const slots = Array.from({ length: position - first + 1 }, (_, i) => slotOf(row, first + i));
        for (let h = 0; h < heads; h++) {
          const at = (row * heads + h) * headDim;
          attendHead(inputs, attrs, h, slots, x.subarray(at, at + headDim), out.subarray(at, at + headDim));
        }
      }
    });
  },
  vjp: 'none', // keys and values are a cache in memory; fast.scaledDotProductAttention takes arrays and has a gradient
  kernel: {
    emit: (context) => {
      const { inputs, attrs } = context;
      const [q, k, v, positions] = [
        operand(inputs, 0),
        operand(inputs, 1),
        operand(inputs, 2),
        operand(inputs, 3),
      ];
      const { kvHeads, capacity, headDim } = cacheShape(k.type, v.type, 'attention', {
        codes: attrs.codes,
        headDim: q.type.shape[2],
      });
      context.emit(
        'attention',
        {
          q,
          kCache: k,
          vCache: v,
          positions,
          sinks: optional(inputs, 4),
          y: operand(context.outputs, 0),
          sequences: optional(inputs, 5),
          pageTable: optional(inputs, 6),
        },
        {
          rows: countParam(elementCount(positions.type.shape)),
          H: fixed(q.type.shape[1], 'attention'),
          Hkv: kvHeads,
          Dh: headDim,
          cap: capacity,
          kvRows: rowsParam(k.type, attrs.codes),
          scale: attrs.scale,
          window: attrs.window,
          softcap: attrs.softcap,
          ring: attrs.ring,
          ...pageParams(optional(inputs, 6), 'attention'),
          precision: attrs.precision,
        },
      );
    },
  },
  tolerance: (inputs, _, { scale, precision, codes }) => {
    const headDim = operand(inputs, 0).shape[2] ?? 1;
    const [q, k, v] = [
      maxAbs(floats(operand(inputs, 0))),
      ...[1, 2].map((i) => maxAbs(cacheFloats(operand(inputs, i), codes, headDim))),
    ];
    const most = headDim * (q ?? 0) * (k ?? 0) * scale;
    const scores = most * 2 ** -23; // error of a score is a relative error of its weight
    const f32 = 2 * scores + 64 * 2 ** -23;
    // Roundings of q and k change weights and their sum, those of weights both as well; and those of v.
    const rounds = precision === 'fast' && operand(inputs, 1).dtype !== 'f32';
    const bf16 = rounds ? Math.expm1(4 * most * 2 ** -9) + 3 * 2 ** -9 : 0;
    return { absolute: (f32 + bf16) * (v ?? 0), relative: 0 };
  },
  flops: (inputs) =>
    4 * maxElements(operand(inputs, 0).shape) * fixed(operand(inputs, 1).shape[1], 'attention'),
  cases: attentionCases(),
});

function cacheFloats(cache: Tensor, codes: KvCodes | undefined, headDim: number): Float32Array {
  const rows = numel(cache.shape.slice(0, 2));
  const read = rowReader(cache, codes, headDim);
  const out = new Float32Array(rows * headDim);
  for (let i = 0; i < rows; i++) out.set(read(i), i * headDim);
  return out;
}

/** One head of one row, whose keys are in these slots. */
function attendHead(
  inputs: Operands<Tensor>,
  { scale, softcap, codes }: AttentionAttrs,
  head: number,
  slots: readonly number[],
  q: Float32Array,
  out: Float32Array,
): void {
  const [k, v] = [operand(inputs, 1), operand(inputs, 2)];
  const sinks = optional(inputs, 4);
  const { kvHeads, capacity, headDim } = cacheShape(k, v, 'attention', { codes, headDim: q.length });
  const heads = operand(inputs, 0).shape[1] as number;
  const base = Math.floor(head / (heads / kvHeads)) * capacity;
  const [keyAt, valueAt] = [rowReader(k, codes, headDim), rowReader(v, codes, headDim)];
  const scores = slots.map((slot) => {
    const key = keyAt(base + slot);
    let dot = 0;
    for (let d = 0; d < headDim; d++) dot += (q[d] as number) * (key[d] as number);
    return softcap > 0 ? softcap * Math.tanh((dot * scale) / softcap) : dot * scale;
  });
  const sink = sinks === null ? Number.NEGATIVE_INFINITY : (floats(sinks)[head] as number);
  const max = scores.reduce((a, b) => Math.max(a, b), sink);
  const weights = scores.map((s) => Math.exp(s - max));
  const sum = weights.reduce((a, b) => a + b, Math.exp(sink - max));
  const total = new Float64Array(headDim);
  slots.forEach((slot, i) => {
    const value = valueAt(base + slot);
    for (let d = 0; d < headDim; d++)
      total[d] = (total[d] as number) + (weights[i] as number) * (value[d] as number);
  });
  for (let d = 0; d < headDim; d++) out[d] = (total[d] as number) / sum;
}

function attentionCases(): readonly OpCase<AttentionAttrs>[] {
  const attrs: AttentionAttrs = { scale: 0.125, window: 0, softcap: 0, ring: 0, precision: 'fast' };
  const inputs = (rows: number, heads: number, dtype: 'f32' | 'f16', headDim = 64) => [
    { shape: [rows, heads, headDim] },
    { shape: [2, 24, headDim], dtype, state: true },
    { shape: [2, 24, headDim], dtype, state: true },
    { shape: [rows], dtype: 'i32' as const, fill: 'index' as const, below: 24 },
    null,
  ];
  const paged = (rows: number) => [
    { shape: [rows, 4, 64] },
    { shape: [2, 128, 64], state: true },
    { shape: [2, 128, 64], state: true },
    { shape: [rows], dtype: 'i32' as const, fill: 'index' as const, below: 32 },
    null,
    { shape: [rows], dtype: 'i32' as const, fill: 'range' as const },
    { shape: [rows, 1], dtype: 'i32' as const, fill: 'index' as const, below: 4 },
  ];
  const sinks = (list: ReturnType<typeof inputs>, heads: number) => [...list.slice(0, 4), { shape: [heads] }];
  return [
    { name: 'one row', inputs: inputs(1, 4, 'f32'), attrs },
    { name: 'rows f16', inputs: inputs(7, 6, 'f16'), attrs },
    { name: 'rows f16 exact', inputs: inputs(7, 6, 'f16'), attrs: { ...attrs, precision: 'exact' } },
    { name: 'window', inputs: inputs(5, 2, 'f32'), attrs: { ...attrs, window: 6 } },
    { name: 'softcap', inputs: inputs(3, 4, 'f32'), attrs: { ...attrs, softcap: 5 } },
    { name: 'sinks', inputs: sinks(inputs(3, 4, 'f32'), 4), attrs },
    { name: 'ring', inputs: inputs(4, 4, 'f32'), attrs: { ...attrs, window: 8, ring: 10 } },
    { name: 'head of 128', inputs: inputs(2, 4, 'f16', 128), attrs },
    { name: 'pages', inputs: paged(6), attrs },
    { name: 'pages and window', inputs: paged(3), attrs: { ...attrs, window: 5 } },
  ];
}

export interface AttentionOptions {
  readonly scale: number;
  readonly window?: number | undefined;
  readonly softcap?: number | undefined;
  readonly sinks?: NDArray | undefined;
  readonly ring?: number | undefined;
  /** Default `fast`. */
  readonly precision?: AttentionPrecision | undefined;
  readonly paged?: PageTable | undefined;
  /** What keys and values are stored as; default: floats. */
  readonly codes?: KvCodes | undefined;
}

/**
 * Row i of `q [n, H, Dh]` attends to keys 0 … positions[i] of the caches `[Hkv, cap, Dh]` (the versions that kvWrite
 * returned, with the same `codes`), of its own sequence when they are paged: `[n, H, Dh]`.
 */
export const attention = (
  q: NDArray,
  kState: Operand,
  vState: Operand,
  positions: NDArray,
  options: AttentionOptions,
): NDArray =>
  q.apply(
    attentionOp,
    [
      q,
      kState,
      vState,
      positions,
      options.sinks ?? null,
      options.paged?.sequences ?? null,
      options.paged?.pages ?? null,
    ],
    {
      scale: options.scale,
      window: options.window ?? 0,
      softcap: options.softcap ?? 0,
      ring: options.ring ?? 0,
      precision: options.precision ?? 'fast',
      ...(options.codes === undefined ? {} : { codes: options.codes }),
    },
  );

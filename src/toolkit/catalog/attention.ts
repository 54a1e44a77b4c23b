// Attention and its softmaxes. A row that sees nothing gives 0.

import type { NDArray } from '../../array/array.ts';
import { arange, full } from '../../array/creation.ts';
import { type AttentionSettings, scaledDotProductAttention } from '../../array/functions/fast.ts';
import type { Term } from '../../array/ops/elementwise/elementwise.ts';
import { where } from '../../array/ops/elementwise/where.ts';
import { IngotError } from '../../base/errors.ts';
import { broadcastShapes, formatShape } from '../../base/shape.ts';
import { mapReduce } from '../reduce.ts';
import { require, sizes } from './common.ts';

/** Below every score, and finite: a row that sees nothing is made of zeros, not of NaN. */
const unseen = -3e38;
/** Softmax over what `seen` holds for, by the softmax of whole rows. */
const softmaxOver = (x: NDArray, seen: NDArray): NDArray => {
  const shape = broadcastShapes(x.shape, seen.shape, 'softmax');
  return where(seen, where(seen, x, unseen).broadcastTo(shape).softmax(), 0);
};

const masked = mapReduce({
  name: 'maskedSoftmax',
  inputs: ['x', 'mask', 'scale'],
  passes: {
    top: {
      init: '-inf',
      update: 'mask ? max(acc, scale * x) : acc',
      combine: 'max(a, b)',
      finalize: 'acc == -inf ? 0 : acc',
    },
    sum: {
      init: 0,
      update: 'acc + (mask ? exp(scale * x - top) : 0)',
      combine: 'a + b',
      finalize: 'acc == 0 ? 1 : acc',
    },
  },
  write: 'mask ? exp(scale * x - top) / sum : 0',
  composite: (x, mask, scale) =>
    softmaxOver((x as NDArray).cast('f32').mul(scale as NDArray), mask as NDArray).cast((x as NDArray).dtype),
});
/** Softmax of scaled scores over what a mask lets through, in one kernel; the scale is an operand.
 * @formula e^(s x - max) / Σ over true entries, 0 elsewhere
 * @shapes x `[…, D]`, mask bool (broadcasts) -> `[…, D]`
 * @gradient x
 * @source https://arxiv.org/abs/1706.03762 */
export const scaleMaskSoftmax = (x: NDArray, mask: NDArray, scale: Term): NDArray => {
  require(mask.dtype === 'bool', `scaleMaskSoftmax: the mask is ${mask.dtype}; it must be bool`);
  return masked(x, mask, typeof scale === 'number' ? full([], scale) : scale);
};
/** @formula softmax over true entries, 0 elsewhere
 * @shapes x `[…, D]`, mask bool (broadcasts) -> `[…, D]`
 * @gradient x
 * @source https://arxiv.org/abs/1706.03762 */
export const maskedSoftmax = (x: NDArray, mask: NDArray): NDArray => scaleMaskSoftmax(x, mask, 1);

const causal = mapReduce({
  name: 'causalSoftmax',
  inputs: ['x', 'last'],
  passes: {
    top: {
      init: '-inf',
      update: 'i <= last ? max(acc, x) : acc',
      combine: 'max(a, b)',
      finalize: 'acc == -inf ? 0 : acc',
    },
    sum: {
      init: 0,
      update: 'acc + (i <= last ? exp(x - top) : 0)',
      combine: 'a + b',
      finalize: 'acc == 0 ? 1 : acc',
    },
  },
  write: 'i <= last ? exp(x - top) / sum : 0',
  composite: (x, last) => {
    const scores = x as NDArray;
    const seen = arange(scores.shape.at(-1) as number).le(last as NDArray);
    return softmaxOver(scores.cast('f32'), seen).cast(scores.dtype);
  },
});
/** Softmax of the scores of the last L positions, each of which sees those up to its own: no mask in memory.
 * @formula softmax over keys 0 … S - L + row, 0 behind
 * @shapes x `[…, L, S]` -> `[…, L, S]`
 * @gradient x
 * @source https://arxiv.org/abs/1706.03762 */
export function causalSoftmax(x: NDArray): NDArray {
  const [L, S] = x.shape.slice(-2) as [number, number];
  return causal(
    x,
    arange(L)
      .add(S - L)
      .reshape([L, 1]),
  );
}

/** Attention by its definition: scores in memory. For short sequences, and as a reference.
 * @formula softmax(scale q kᵀ + mask) v
 * @shapes q `[B, H, L, D]`, k, v `[B, Hkv, S, D]` -> `[B, H, L, D]`
 * @gradient q, k, v
 * @source https://arxiv.org/abs/1706.03762 */
export const dotProductAttention = (
  q: NDArray,
  k: NDArray,
  v: NDArray,
  settings: AttentionSettings = {},
): NDArray => scaledDotProductAttention(q, k, v, settings);

export interface FlashOptions {
  readonly scale?: number;
  readonly causal?: boolean;
  /** Keys of a block; default 256. */
  readonly block?: number;
}

/** Attention block by block with a running maximum and sum: scores of one block are in memory, never all.
 * @formula softmax(scale q kᵀ) v, causal or not
 * @shapes q `[B, H, L, D]`, k, v `[B, Hkv, S, D]` -> `[B, H, L, D]`
 * @gradient q, k, v
 * @source https://arxiv.org/abs/2205.14135 */
export function flashAttention(q: NDArray, k: NDArray, v: NDArray, options: FlashOptions = {}): NDArray {
  const [B, H, L, D] = sizes(q, 4, 'flashAttention: q') as [number, number, number, number];
  const [, heads, S] = sizes(k, 4, 'flashAttention: k') as [number, number, number];
  const width = sizes(v, 4, 'flashAttention: v')[3] as number;
  const { scale = 1 / Math.sqrt(D), causal: isCausal = false, block = 256 } = options;
  require(H % heads === 0, `flashAttention: ${H} query heads do not divide into ${heads}`);
  const group = H / heads;
  const rows = q
    .cast('f32')
    .mul(scale)
    .reshape([B, heads, group * L, D]);
  const last = arange(L)
    .add(S - L)
    .reshape([1, L])
    .broadcastTo([group, L])
    .reshape([group * L, 1]);
  const per = [B, heads, group * L, 1] as const;
  let [top, sum, out] = [
    full(per, Number.NEGATIVE_INFINITY),
    full(per, 0),
    full([B, heads, group * L, width], 0),
  ];
  for (let start = 0; start < S; start += block) {
    const end = Math.min(S, start + block);
    const part = (x: NDArray): NDArray => x.slice(null, null, [start, end]).cast('f32');
    const scores = rows.matmul(part(k).transpose([0, 1, 3, 2]));
    const seen = isCausal ? where(arange(start, end).le(last), scores, Number.NEGATIVE_INFINITY) : scores;
    const next = top.maximum(seen.max(-1, true));
    const shift = where(next.eq(Number.NEGATIVE_INFINITY), 0, next);
    const weights = seen.sub(shift).exp();
    const keep = top.sub(shift).exp();
    sum = sum.mul(keep).add(weights.sum(-1, true));
    out = out.mul(keep).add(weights.matmul(part(v)));
    top = next;
  }
  const shares = out.div(where(sum.eq(0), 1, sum));
  return shares.reshape([B, H, L, width]).cast(q.dtype);
}

export interface PagedAttentionInputs {
  /** `[B, H, D]` */
  readonly q: NDArray;
  /** `[pages, size, Hkv, D]` */
  readonly keys: NDArray;
  readonly values: NDArray;
  /** i32 `[B, most pages]`: the pages of each sequence; those behind its length are not read. */
  readonly pages: NDArray;
  /** i32 `[B]`: positions of each sequence. */
  readonly lengths: NDArray;
  readonly scale?: number;
}

/** One query per sequence over keys and values in pages, of any context length.
 * @formula softmax(scale q kᵀ) v over the pages of each sequence, up to its length
 * @shapes q `[B, H, D]`, keys, values `[pages, size, Hkv, D]`, pages i32 `[B, P]`, lengths i32 `[B]` -> `[B, H, D]`
 * @gradient q, keys, values
 * @source https://arxiv.org/abs/2309.06180 */
export function pagedAttention({ q, keys, values, pages, lengths, scale }: PagedAttentionInputs): NDArray {
  const [B, H, D] = sizes(q, 3, 'pagedAttention: q') as [number, number, number];
  const [, size, heads] = sizes(keys, 4, 'pagedAttention: keys') as [number, number, number];
  const P = sizes(pages, 2, 'pagedAttention: pages')[1] as number;
  if (pages.shape[0] !== B || lengths.shape[0] !== B || H % heads !== 0) {
    throw new IngotError(
      'shape_mismatch',
      `pagedAttention: q ${formatShape(q.shape)}, pages ${formatShape(pages.shape)}, lengths ${formatShape(lengths.shape)} and ${heads} heads do not fit`,
    );
  }
  const S = P * size;
  const used = arange(P)
    .mul(size)
    .reshape([1, P])
    .lt(lengths.reshape([B, 1]));
  const safe = where(used, pages, 0);
  const rows = (x: NDArray): NDArray =>
    x
      .take(safe.reshape([B * P]), 0)
      .reshape([B, S, heads, D])
      .cast('f32');
  const group = H / heads;
  const grouped = q
    .cast('f32')
    .mul(scale ?? 1 / Math.sqrt(D))
    .reshape([B, heads, group, D]);
  const scores = grouped.matmul(rows(keys).transpose([0, 2, 3, 1]));
  const seen = arange(S)
    .reshape([1, 1, 1, S])
    .lt(lengths.reshape([B, 1, 1, 1]));
  // Elements of pages that are not used may be anything: a weight of 0 would keep their NaN.
  const present = seen.reshape([B, S, 1, 1]);
  const weights = maskedSoftmax(scores, seen);
  return weights
    .matmul(where(present, rows(values), 0).transpose([0, 2, 1, 3]))
    .reshape([B, H, D])
    .cast(q.dtype);
}

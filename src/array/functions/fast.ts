// The namespace `fast`: norms, rotary embedding and attention as models use them.

import { isFloat } from '../../base/dtype.ts';
import { IngotError } from '../../base/errors.ts';
import { formatShape } from '../../base/shape.ts';
import { type Given, named } from '../arguments.ts';
import type { NDArray } from '../array.ts';
import { arange, full } from '../creation.ts';
import { where } from '../ops/elementwise/where.ts';
import { fixed } from '../ops/operands.ts';
import { concat } from '../ops/shape/concat.ts';
import * as losses from './losses.ts';
import { alongAxis } from './terms.ts';

/** x / sqrt(mean(x²) + eps) over the last axis, times `weight`. */
export const rmsNorm = (x: NDArray, weight: NDArray | null, eps = 1e-5): NDArray => x.rmsNorm(weight, eps);
/** (x - mean) / sqrt(variance + eps) over the last axis, times `weight`, plus `bias`. */
export const layerNorm = (x: NDArray, weight: NDArray | null, bias: NDArray | null, eps = 1e-5): NDArray =>
  x.layerNorm(weight, bias, eps);

export interface RopeSettings {
  /** True pairs neighbours, false the two halves of the rotated part. */
  readonly traditional?: boolean;
  /** Default 10000. */
  readonly base?: number | null;
  /** Multiplies positions. */
  readonly scale?: number;
  /** Position of the first row: one for all, or i32 with one for each element of the first axis. */
  readonly offset?: number | NDArray;
  /** Wave lengths over 2 π of the dims / 2 pairs, in place of powers of the base. */
  readonly freqs?: NDArray | null;
}

/** Rotary embedding of the first `dims` elements of x [..., length, headDim], by position: https://arxiv.org/abs/2104.09864. */
export function rope(
  x: NDArray,
  dims: number,
  ...given: Given<
    [traditional: boolean, base: number, scale: number, offset: number | NDArray, freqs: NDArray],
    RopeSettings
  >
): NDArray {
  const names = ['traditional', 'base', 'scale', 'offset', 'freqs'] as const;
  const settings = named<RopeSettings>('rope', names, given);
  const { traditional = false, base = 10000, scale = 1, offset = 0, freqs } = settings;
  const rank = x.shape.length;
  const [n, width] = [fixed(x.shape[rank - 2], 'rope'), fixed(x.shape[rank - 1], 'rope')];
  if (dims % 2 !== 0 || dims > width || dims < 2) {
    throw new IngotError('invalid_argument', `rope: ${dims} dimensions are not an even part of ${width}`);
  }
  const half = dims / 2;
  if (freqs != null && (freqs.shape.length !== 1 || freqs.shape[0] !== half)) {
    throw new IngotError(
      'shape_mismatch',
      `rope: freqs ${formatShape(freqs.shape)} are not one for each of ${half} pairs`,
    );
  }
  const frequencies =
    freqs?.cast('f32').reciprocal() ??
    arange(half)
      .cast('f32')
      .mul((-2 * Math.log(base ?? 10000)) / dims)
      .exp();
  const row = arange(n).cast('f32').reshape([n, 1]);
  const places = row.add(startOf(offset, x)).mul(scale);
  const angles = places.mul(frequencies);
  const [cos, sin] = [angles.cos(), angles.sin()];
  const part = alongAxis(x, rank - 1, [0, dims]);
  const pairs = traditional
    ? part.reshape([...x.shape.slice(0, -1), half, 2])
    : part.reshape([...x.shape.slice(0, -1), 2, half]);
  const pick = (i: number): NDArray => {
    const axis = traditional ? rank : rank - 1;
    return alongAxis(pairs, axis, [i, i + 1]).reshape([...x.shape.slice(0, -1), half]);
  };
  const [a, b] = [pick(0), pick(1)];
  const turned = [a.mul(cos).sub(b.mul(sin)), a.mul(sin).add(b.mul(cos))];
  const rotated = traditional
    ? concat(
        turned.map((t) => t.reshape([...t.shape, 1])),
        -1,
      ).reshape(part.shape)
    : concat(turned, -1);
  return (dims === width ? rotated : concat([rotated, alongAxis(x, rank - 1, [dims, width])], -1)).cast(
    x.dtype,
  );
}

/** Positions of the first rows, ready to be added to [length, 1]. */
function startOf(offset: number | NDArray, x: NDArray): number | NDArray {
  if (typeof offset === 'number' || offset.size === 1) {
    return typeof offset === 'number' ? offset : offset.cast('f32').reshape([]);
  }
  if (offset.shape.length !== 1 || offset.shape[0] !== x.shape[0] || x.shape.length < 3) {
    throw new IngotError(
      'shape_mismatch',
      `rope: offsets ${formatShape(offset.shape)} are not one for each of the first axis of ${formatShape(x.shape)}`,
    );
  }
  return offset.cast('f32').reshape(x.shape.map((d, i) => (i === 0 ? d : 1)));
}

export interface AttentionSettings {
  /** Default 1 / sqrt(headDim). */
  readonly scale?: number;
  /** bool (true is seen), numbers that are added to scores, or causal: row i of the last rows sees the keys up to its own. */
  readonly mask?: NDArray | 'causal' | null;
  /** Scores [heads] of a key without value that every row sees. */
  readonly sinks?: NDArray;
}

/**
 * softmax(scale q kᵀ + mask) v for q [B, H, L, D], k and v [B, Hkv, S, D]; H is a multiple of Hkv, whose heads serve H / Hkv
 * query heads each. Rows that see nothing give 0.
 */
export function scaledDotProductAttention(
  q: NDArray,
  k: NDArray,
  v: NDArray,
  { scale, mask = null, sinks }: AttentionSettings = {},
): NDArray {
  if (q.shape.length !== 4 || k.shape.length !== 4 || v.shape.length !== 4) {
    throw new IngotError(
      'shape_mismatch',
      `scaledDotProductAttention: q ${formatShape(q.shape)}, k ${formatShape(k.shape)} and v ${formatShape(v.shape)} need four axes`,
    );
  }
  const [B, H, L, D] = q.shape.map((d) => fixed(d, 'attention')) as [number, number, number, number];
  const [, heads, S] = k.shape.map((d) => fixed(d, 'attention')) as [number, number, number, number];
  if (H % heads !== 0)
    throw new IngotError(
      'shape_mismatch',
      `scaledDotProductAttention: ${H} query heads do not divide into ${heads}`,
    );
  const group = H / heads;
  const wide = (x: NDArray): NDArray => x.reshape([B, heads, 1, S, fixed(x.shape[3], 'attention')]);
  const rows = q.reshape([B, heads, group, L, D]).mul(scale ?? 1 / Math.sqrt(D));
  const scores = rows
    .matmul(wide(k).transpose([0, 1, 2, 4, 3]))
    .reshape([B, H, L, S])
    .cast('f32');
  const seen =
    mask === 'causal'
      ? arange(S)
          .reshape([1, S])
          .le(
            arange(L)
              .reshape([L, 1])
              .add(S - L),
          )
      : mask;
  const masked =
    seen === null
      ? scores
      : isFloat(seen.dtype)
        ? scores.add(seen)
        : where(seen, scores, Number.NEGATIVE_INFINITY);
  const sink = sinks?.cast('f32').reshape([1, H, 1, 1]).broadcastTo([B, H, L, 1]);
  const top = masked.max(-1, true);
  const most = sink === undefined ? top : top.maximum(sink);
  const shift = where(most.eq(Number.NEGATIVE_INFINITY), 0, most);
  const weights = masked.sub(shift).exp();
  const rest = sink === undefined ? 0 : sink.sub(shift).exp();
  const sum = weights.sum(-1, true).add(rest);
  const shares = weights.div(where(sum.eq(0), 1, sum)).cast(v.dtype);
  const width = fixed(v.shape[3], 'attention');
  return shares.reshape([B, heads, group, L, S]).matmul(wide(v)).reshape([B, H, L, width]).cast(q.dtype);
}

/** -log softmax(logits) of the target class over the last axis, one for each place, in f32. */
export const crossEntropy = (logits: NDArray, targets: NDArray): NDArray =>
  losses.crossEntropy(logits.cast('f32'), targets, { reduction: 'none' });

/**
 * Gated delta rule, step by step: the state [Dv, Dk] of each head decays by gamma, is corrected by beta times what k recalls wrongly of v,
 * and answers q. q and k [B, T, Hk, Dk], v [B, T, Hv, Dv], gamma and beta [B, T, Hv]; gives [B, T, Hv, Dv] and the last state
 * [B, Hv, Dv, Dk]. https://arxiv.org/abs/2412.06464.
 */
export function gatedDeltaUpdate(
  q: NDArray,
  k: NDArray,
  v: NDArray,
  gamma: NDArray,
  beta: NDArray,
  initial?: NDArray,
  mask?: NDArray,
): readonly [y: NDArray, state: NDArray] {
  const [B, T, Hv, Dv] = v.shape.map((d) => fixed(d, 'gatedDeltaUpdate')) as [number, number, number, number];
  const [Hk, Dk] = k.shape.slice(2).map((d) => fixed(d, 'gatedDeltaUpdate')) as [number, number];
  if (Hv % Hk !== 0) {
    throw new IngotError(
      'shape_mismatch',
      `gatedDeltaUpdate: ${Hv} heads of v do not divide into ${Hk} of k`,
    );
  }
  const wide = (x: NDArray): NDArray =>
    x
      .reshape([B, T, Hk, 1, Dk])
      .broadcastTo([B, T, Hk, Hv / Hk, Dk])
      .reshape([B, T, Hv, Dk]);
  const [queries, keys] = [wide(q), wide(k)];
  const step = (x: NDArray, t: number): NDArray =>
    alongAxis(x, 1, [t, t + 1]).reshape([B, ...x.shape.slice(2)]);
  let state = initial ?? full([B, Hv, Dv, Dk], 0, 'f32');
  const rows: NDArray[] = [];
  for (let t = 0; t < T; t++) {
    const kt = step(keys, t).reshape([B, Hv, 1, Dk]);
    const decayed = state.mul(step(gamma, t).reshape([B, Hv, 1, 1]));
    const recalled = decayed.mul(kt).sum(-1);
    const delta = step(v, t)
      .sub(recalled)
      .mul(step(beta, t).reshape([B, Hv, 1]));
    const next = decayed.add(delta.reshape([B, Hv, Dv, 1]).mul(kt));
    rows.push(
      next
        .mul(step(queries, t).reshape([B, Hv, 1, Dk]))
        .sum(-1)
        .reshape([B, 1, Hv, Dv]),
    );
    state = mask === undefined ? next : where(step(mask, t).reshape([B, 1, 1, 1]), next, state);
  }
  return [concat(rows, 1).cast(q.dtype), state];
}

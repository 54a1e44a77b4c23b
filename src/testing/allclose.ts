// Comparison of numbers against a bound, with a report that says how far off they are.

import { IngotError } from '../base/errors.ts';

/** |got - want| <= absolute + relative * |want|, element by element. */
export interface Bound {
  readonly absolute: number;
  readonly relative: number;
}

export interface Comparison {
  readonly ok: boolean;
  /** Largest, mean and 99th percentile of |got - want|. */
  readonly max: number;
  readonly mean: number;
  readonly p99: number;
  /** Element that exceeds its bound the most, or has the largest difference when none does. */
  readonly worst: {
    readonly index: number;
    readonly got: number;
    readonly want: number;
    readonly bound: number;
  };
  readonly report: string;
}

/** Compares two lists. Equal infinities agree, NaN agrees with NaN; other non-finite differences never do. */
export function compare(got: ArrayLike<number>, want: ArrayLike<number>, bound: Bound): Comparison {
  if (got.length !== want.length) {
    throw new IngotError('shape_mismatch', `${got.length} elements compared with ${want.length}`);
  }
  const errors = new Float64Array(got.length);
  let worst = { index: 0, got: Number.NaN, want: Number.NaN, bound: 0 };
  let worstExcess = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < got.length; i++) {
    const [g, w] = [got[i] as number, want[i] as number];
    const limit = bound.absolute + bound.relative * Math.abs(w);
    const error = Object.is(g, w) || g === w ? 0 : Math.abs(g - w);
    errors[i] = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
    const excess = (errors[i] as number) - (Number.isFinite(limit) ? limit : 0);
    if (excess <= worstExcess) continue;
    worstExcess = excess;
    worst = { index: i, got: g, want: w, bound: limit };
  }
  const sorted = errors.slice().sort();
  const max = sorted.at(-1) ?? 0;
  const mean = got.length === 0 ? 0 : errors.reduce((a, b) => a + b, 0) / got.length;
  const p99 = sorted[Math.ceil(0.99 * (sorted.length - 1))] ?? 0;
  const ok = got.length === 0 || worstExcess <= 0;
  const report =
    `max ${show(max)}, mean ${show(mean)}, p99 ${show(p99)} over ${got.length} elements; ` +
    `worst at ${worst.index}: got ${worst.got}, want ${worst.want}, bound ${show(worst.bound)}`;
  return { ok, max, mean, p99, worst, report };
}

/** Throws an internal error with the report unless all elements are within the bound. */
export function expectAllClose(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  bound: Bound,
  what: string,
): void {
  const result = compare(got, want, bound);
  if (!result.ok) throw new IngotError('internal', `${what}: ${result.report}`);
}

const show = (x: number): string => (x === 0 ? '0' : x.toExponential(2));

// Polynomials as vectors of coefficients, highest power first, as NumPy has them.

import { IngotError } from '../../base/errors.ts';
import type { NDArray } from '../array.ts';
import { arange, fromData, full } from '../creation.ts';
import { fixed } from '../ops/operands.ts';
import { concat } from '../ops/shape/concat.ts';
import { eigvals } from './eigenvalues.ts';
import type { Complex } from './fft.ts';
import { vander } from './numpy.ts';
import { trimZeros } from './sets.ts';
import { convolve } from './statistics.ts';
import { lstsq } from './systems.ts';
import { toFloats } from './terms.ts';

const size = (c: NDArray): number => {
  if (c.shape.length === 1) return fixed(c.shape[0], 'polynomial');
  throw new IngotError('shape_mismatch', `polynomial: coefficients are a vector, got [${c.shape}]`);
};
const zeros = (n: number, like: NDArray): NDArray => full([n], 0, like.dtype);
const widened = (c: NDArray, n: number): NDArray =>
  size(c) >= n ? c : concat([zeros(n - size(c), c), c], 0);

/** Sum. */
export function polyadd(a: NDArray, b: NDArray): NDArray {
  const n = Math.max(size(a), size(b));
  return widened(a, n).add(widened(b, n));
}
/** Difference. */
export const polysub = (a: NDArray, b: NDArray): NDArray => polyadd(a, b.neg());
/** Product. */
export const polymul = (a: NDArray, b: NDArray): NDArray => convolve(a, b);
/** Quotient and remainder; the remainder has leading zeros. */
export function polydiv(a: NDArray, b: NDArray): readonly [quotient: NDArray, remainder: NDArray] {
  const [m, n] = [size(a), size(b)];
  let rest = toFloats(a);
  const divisor = toFloats(b);
  const lead = divisor.slice([0, 1]);
  const parts: NDArray[] = [];
  for (let i = 0; i + n <= m; i++) {
    const q = rest.slice([i, i + 1]).div(lead);
    parts.push(q);
    rest = rest.sub(concat([zeros(i, rest), divisor.mul(q), zeros(m - n - i, rest)], 0));
  }
  return [parts.length === 0 ? zeros(1, rest) : concat(parts, 0), m < n ? rest : rest.slice([m - n + 1, m])];
}
/** Derivative, `times` times. */
export function polyder(c: NDArray, times = 1): NDArray {
  let result = c;
  for (let i = 0; i < times; i++) {
    const n = size(result);
    result = result.slice([0, Math.max(0, n - 1)]).mul(arange(n - 1, 0, -1));
  }
  return result;
}
/** Integral, `times` times, 0 at 0. */
export function polyint(c: NDArray, times = 1): NDArray {
  let result = toFloats(c);
  for (let i = 0; i < times; i++) {
    const n = size(result);
    result = concat([result.div(arange(n, 0, -1)), zeros(1, result)], 0);
  }
  return result;
}
/** Coefficients of degree `degree` with the least squares of their distances from points (x, y). */
export function polyfit(x: NDArray, y: NDArray, degree: number): NDArray {
  const columns = vander(toFloats(x), degree + 1);
  const scale = columns.square().sum(0).sqrt();
  const [c] = lstsq(columns.div(scale), y, 1e-7);
  return c.div(y.shape.length === 1 ? scale : scale.reshape([-1, 1]));
}
/** Coefficients of the polynomial with these zeros. */
export function poly(zerosOf: NDArray): NDArray {
  const n = size(zerosOf);
  let result = full([1], 1, 'f32');
  for (let i = 0; i < n; i++) {
    result = convolve(
      result,
      concat(
        [
          full([1], 1, 'f32'),
          toFloats(zerosOf)
            .slice([i, i + 1])
            .neg(),
        ],
        0,
      ),
    );
  }
  return result;
}
/** Zeros of a polynomial, in no promised order: eigenvalues of its companion matrix. */
export async function roots(c: NDArray): Promise<Complex> {
  const front = await trimZeros(c, 'f');
  const trimmed = await trimZeros(front, 'b');
  const [n, m] = [size(front), size(trimmed)];
  const end = fromData(new Float32Array(n - m));
  if (m < 2) return { real: end, imag: end };
  const first = toFloats(trimmed.slice([1, m]))
    .div(trimmed.slice([0, 1]))
    .neg()
    .reshape([1, m - 1]);
  const below = fromData(
    Float32Array.from({ length: (m - 2) * (m - 1) }, (_, i) => (i % m === 0 ? 1 : 0)),
    [m - 2, m - 1],
  );
  const { real, imag } = await eigvals(concat([first, below], 0));
  return { real: concat([real, end], 0), imag: concat([imag, end], 0) };
}

// The namespace `fft`: discrete Fourier transforms. There is no complex dtype: complex arrays are two arrays of one shape.

import { isFloat } from '../../base/dtype.ts';
import { IngotError } from '../../base/errors.ts';
import { formatShape, normalizeAxis, sameShape } from '../../base/shape.ts';
import { type Given, named } from '../arguments.ts';
import type { NDArray } from '../array.ts';
import { arange, fromData, full } from '../creation.ts';
import { fixed } from '../ops/operands.ts';
import { concat } from '../ops/shape/concat.ts';
import { flip, moveaxis, pad, roll } from './shape.ts';
import { alongAxis } from './terms.ts';

/** Complex numbers. */
export interface Complex {
  readonly real: NDArray;
  readonly imag: NDArray;
}

/** Where the division by the number of elements happens: in the inverse (default), half in each, in the forward transform. */
export type FftNorm = 'backward' | 'ortho' | 'forward';

export interface FftOptions {
  /** Elements along the axis: cut off or filled up with zeros. Default: all. Of irfft the result's: default 2 (n - 1). */
  readonly n?: number;
  /** Default -1. */
  readonly axis?: number;
  readonly norm?: FftNorm;
}

export interface FftnOptions {
  /** Elements along each of the axes. */
  readonly s?: readonly number[];
  /** Default: all, or as many of the last as `s` has. */
  readonly axes?: readonly number[];
  readonly norm?: FftNorm;
}

/** Options, or size, axis and norm one after the other as in MLX. */
export type FftArguments = Given<[n: number, axis: number, norm: FftNorm], FftOptions>;
/** Options, or sizes, axes and norm one after the other. */
export type FftnArguments = Given<
  [s: readonly number[], axes: readonly number[], norm: FftNorm],
  FftnOptions
>;

const fftOptions = (what: string, given: FftArguments): FftOptions =>
  named<FftOptions>(what, ['n', 'axis', 'norm'], given);
const fftnOptions = (what: string, given: FftnArguments): FftnOptions =>
  named<FftnOptions>(what, ['s', 'axes', 'norm'], given);

/** Up to here a transform is one product with a matrix. */
const direct = 64;

/** The sine of 2 π t, exact at quarters of a turn. */
const wave = (t: number): number => ([0, 1, 0, -1] as const)[(4 * t) % 4] ?? Math.sin(2 * Math.PI * t);

/** cos and sin of 2 π t for t in turns, as arrays of f32 rounded once. */
function waves(
  count: number,
  turns: (i: number) => number,
  shape: readonly number[],
): readonly [NDArray, NDArray] {
  const [cos, sin] = [new Float32Array(count), new Float32Array(count)];
  for (let i = 0; i < count; i++) {
    const t = turns(i);
    cos[i] = wave(t + 0.25);
    sin[i] = wave(t);
  }
  return [fromData(cos, shape), fromData(sin, shape)];
}

/** (x.real + i x.imag) times (re - i im): exponentials with negative angles. */
const times = ({ real, imag }: Complex, [re, im]: readonly [NDArray, NDArray]): Complex => ({
  real: real.mul(re).add(imag.mul(im)),
  imag: imag.mul(re).sub(real.mul(im)),
});

/** The transform over the last axis, of n elements. */
function transform(x: Complex, n: number): Complex {
  if (n <= 1) return x;
  const factor = largestFactor(n);
  if (n <= direct || factor === 1) return n <= 8 * direct ? byMatrix(x, n) : byConvolution(x, n);
  // Cooley and Tukey 1965: j = j1 b + j2 and k = k2 a + k1
  const [a, b] = [factor, n / factor];
  const rows = x.real.shape.slice(0, -1);
  const swap = (y: NDArray): NDArray => moveaxis(y, -1, -2);
  const each = (y: Complex, f: (part: NDArray) => NDArray): Complex => ({ real: f(y.real), imag: f(y.imag) });
  const inner = transform(
    each(x, (p) => swap(p.reshape([...rows, a, b]))),
    a,
  ); // [j2, k1]
  const turned = times(
    inner,
    waves(n, (i) => ((Math.floor(i / a) * (i % a)) % n) / n, [b, a]),
  );
  const outer = transform(each(turned, swap), b); // [k1, k2]
  return each(outer, (p) => swap(p).reshape([...rows, n]));
}

/** The largest factor of n that is at most `direct`. */
function largestFactor(n: number): number {
  for (let f = direct; f > 1; f--) if (n % f === 0 && f < n) return f;
  return 1;
}

function byMatrix({ real, imag }: Complex, n: number): Complex {
  const [cos, sin] = waves(n * n, (i) => ((Math.floor(i / n) * (i % n)) % n) / n, [n, n]);
  return {
    real: real.matmul(cos).add(imag.matmul(sin)),
    imag: imag.matmul(cos).sub(real.matmul(sin)),
  };
}

/** For large primes: a convolution with a chirp, by transforms of a power of two (Bluestein 1970). */
function byConvolution(x: Complex, n: number): Complex {
  const m = 2 ** Math.ceil(Math.log2(2 * n - 1));
  const square = (i: number): number => ((i * i) % (2 * n)) / (2 * n);
  const chirp = waves(n, square, [n]);
  const [re, im] = waves(m, (i) => square(Math.min(i, m - i) < n ? Math.min(i, m - i) : 0), [m]);
  const used = fromData(Float32Array.from({ length: m }, (_, i) => (Math.min(i, m - i) < n ? 1 : 0)));
  const filter = transform({ real: re.mul(used), imag: im.mul(used) }, m);
  const signal = times(x, chirp);
  const wide = (p: NDArray): NDArray => pad(p, [...p.shape.slice(1).map(() => [0, 0] as const), [0, m - n]]);
  const spectrum = transform({ real: wide(signal.real), imag: wide(signal.imag) }, m);
  const product = times(spectrum, [filter.real, filter.imag.neg()]);
  const back = inverse(product, m);
  const cut = (p: NDArray): NDArray => alongAxis(p, p.shape.length - 1, [0, n]);
  return times({ real: cut(back.real), imag: cut(back.imag) }, chirp);
}

/** The inverse over the last axis: the transform of the conjugate, conjugated, over n. */
function inverse({ real, imag }: Complex, n: number): Complex {
  const y = transform({ real, imag: imag.neg() }, n);
  return { real: y.real.mul(1 / n), imag: y.imag.mul(-1 / n) };
}

const f32 = (x: NDArray): NDArray => (isFloat(x.dtype) && x.dtype === 'f32' ? x : x.cast('f32'));

function complexOf(x: NDArray | Complex, what: string): Complex {
  if (!('real' in x && 'imag' in x)) {
    const real = f32(x as NDArray);
    return { real, imag: full(real.shape, 0, 'f32') };
  }
  if (!sameShape(x.real.shape, x.imag.shape)) {
    throw new IngotError(
      'shape_mismatch',
      `${what}: real ${formatShape(x.real.shape)} and imaginary ${formatShape(x.imag.shape)} parts must have one shape`,
    );
  }
  return { real: f32(x.real), imag: f32(x.imag) };
}

/** The first n elements of the last axis, zeros behind them where there are fewer. */
function sized(x: NDArray, n: number): NDArray {
  const have = fixed(x.shape.at(-1), 'fft');
  if (have === n) return x;
  if (have > n) return alongAxis(x, x.shape.length - 1, [0, n]);
  return pad(x, [...x.shape.slice(1).map(() => [0, 0] as const), [0, n - have]]);
}

const norms: readonly string[] = ['backward', 'ortho', 'forward'];

function factorOf(n: number, norm: FftNorm, isInverse: boolean): number {
  if (!norms.includes(norm)) {
    throw new IngotError('invalid_argument', `fft: norm '${norm}' is none of ${norms.join(', ')}`);
  }
  return norm === 'ortho' ? 1 / Math.sqrt(n) : (norm === 'forward') === isInverse ? 1 : 1 / n;
}

function checkedSize(n: number, what: string): number {
  if (Number.isInteger(n) && n > 0) return n;
  throw new IngotError('invalid_argument', `${what}: ${n} elements; a whole number above 0 is needed`);
}

interface Along {
  readonly what: string;
  readonly isInverse: boolean;
}

function along(
  x: NDArray | Complex,
  { n, axis = -1, norm = 'backward' }: FftOptions,
  { what, isInverse }: Along,
): Complex {
  const given = complexOf(x, what);
  const at = normalizeAxis(axis, given.real.shape.length, what);
  const size = checkedSize(n ?? fixed(given.real.shape[at], what), what);
  const last = (p: NDArray): NDArray => sized(moveaxis(p, at, -1), size);
  const parts = { real: last(given.real), imag: last(given.imag) };
  const y = isInverse ? inverse(parts, size) : transform(parts, size);
  const factor = factorOf(size, norm, isInverse) * (isInverse ? size : 1);
  const done = (p: NDArray): NDArray => moveaxis(factor === 1 ? p : p.mul(factor), -1, at);
  return { real: done(y.real), imag: done(y.imag) };
}

/** X[k] = sum of x[j] exp(-2 π i j k / n) along an axis, of real or complex numbers. */
export const fft = (x: NDArray | Complex, ...options: FftArguments): Complex =>
  along(x, fftOptions('fft', options), { what: 'fft', isInverse: false });
/** The inverse of fft: with exp(2 π i j k / n), over n. */
export const ifft = (x: NDArray | Complex, ...options: FftArguments): Complex =>
  along(x, fftOptions('ifft', options), { what: 'ifft', isInverse: true });

/** The first n / 2 + 1 elements of the transform of real numbers; the others are conjugates of them. */
export function rfft(x: NDArray, ...given: FftArguments): Complex {
  const options = fftOptions('rfft', given);
  const at = normalizeAxis(options.axis ?? -1, x.shape.length, 'rfft');
  const n = checkedSize(options.n ?? fixed(x.shape[at], 'rfft'), 'rfft');
  const y = along(x, options, { what: 'rfft', isInverse: false });
  const half = (p: NDArray): NDArray => alongAxis(p, at, [0, Math.floor(n / 2) + 1]);
  return { real: half(y.real), imag: half(y.imag) };
}

/** The real numbers whose rfft is x. */
export function irfft(x: NDArray | Complex, ...options: FftArguments): NDArray {
  const { n, axis = -1, norm = 'backward' } = fftOptions('irfft', options);
  const given = complexOf(x, 'irfft');
  const at = normalizeAxis(axis, given.real.shape.length, 'irfft');
  const size = checkedSize(n ?? 2 * (fixed(given.real.shape[at], 'irfft') - 1), 'irfft');
  const half = Math.floor(size / 2) + 1;
  const whole = (p: NDArray, sign: 1 | -1): NDArray => {
    const front = sized(moveaxis(p, at, -1), half);
    const end = flip(alongAxis(front, front.shape.length - 1, [1, Math.ceil(size / 2)]), [-1]);
    return concat([front, sign === 1 ? end : end.neg()], -1);
  };
  // what Hermitian symmetry makes real is taken as real
  const edge = fromData(Float32Array.from({ length: half }, (_, i) => (i === 0 || 2 * i === size ? 0 : 1)));
  const imag = moveaxis(sized(moveaxis(given.imag, at, -1), half).mul(edge), -1, at);
  const y = along(
    { real: whole(given.real, 1), imag: whole(imag, -1) },
    { norm },
    { what: 'irfft', isInverse: true },
  );
  return moveaxis(y.real, -1, at);
}

function axesOf(
  rank: number,
  { s, axes }: FftnOptions,
  byDefault: number | undefined,
  what: string,
): readonly number[] {
  const count = byDefault ?? s?.length ?? rank;
  const list = axes ?? Array.from({ length: count }, (_, i) => i - count);
  if (s !== undefined && s.length !== list.length) {
    throw new IngotError('invalid_argument', `${what}: ${s.length} sizes for ${list.length} axes`);
  }
  return list.map((a) => normalizeAxis(a, rank, what));
}

const rankOf = (x: NDArray | Complex): number =>
  'real' in x && 'imag' in x ? x.real.shape.length : (x as NDArray).shape.length;

const stepOptions = (n: number | undefined, axis: number, norm: FftNorm | undefined): FftOptions => ({
  axis,
  ...(n === undefined ? {} : { n }),
  ...(norm === undefined ? {} : { norm }),
});

const several =
  (
    what: string,
    byDefault: number | undefined,
    one: (x: NDArray | Complex, options: FftOptions) => Complex,
  ) =>
  (x: NDArray | Complex, ...given: FftnArguments): Complex => {
    const options = fftnOptions(what, given);
    return axesOf(rankOf(x), options, byDefault, what).reduce<Complex>(
      (y, axis, i) => one(y, stepOptions(options.s?.[i], axis, options.norm)),
      complexOf(x, what),
    );
  };
/** fft over several axes. */
export const fftn = several('fftn', undefined, fft);
export const ifftn = several('ifftn', undefined, ifft);
/** fft over the last two axes. */
export const fft2 = several('fft2', 2, fft);
export const ifft2 = several('ifft2', 2, ifft);

const severalReal =
  (what: string, byDefault: number | undefined) =>
  (x: NDArray, ...given: FftnArguments): Complex => {
    const options = fftnOptions(what, given);
    const axes = axesOf(x.shape.length, options, byDefault, what);
    const last = axes.length - 1;
    const half = rfft(x, stepOptions(options.s?.[last], axes[last] as number, options.norm));
    return axes
      .slice(0, -1)
      .reduce<Complex>((y, axis, i) => fft(y, stepOptions(options.s?.[i], axis, options.norm)), half);
  };
/** fft over several axes of real numbers: half of the last one. */
export const rfftn = severalReal('rfftn', undefined);
export const rfft2 = severalReal('rfft2', 2);

const severalBack =
  (what: string, byDefault: number | undefined) =>
  (x: NDArray | Complex, ...given: FftnArguments): NDArray => {
    const options = fftnOptions(what, given);
    const axes = axesOf(rankOf(x), options, byDefault, what);
    const last = axes.length - 1;
    const y = axes
      .slice(0, -1)
      .reduce<Complex>(
        (z, axis, i) => ifft(z, stepOptions(options.s?.[i], axis, options.norm)),
        complexOf(x, what),
      );
    return irfft(y, stepOptions(options.s?.[last], axes[last] as number, options.norm));
  };
export const irfftn = severalBack('irfftn', undefined);
export const irfft2 = severalBack('irfft2', 2);

const shifted = (
  x: NDArray,
  axes: number | readonly number[] | undefined,
  shift: (n: number) => number,
): NDArray => {
  const list = axes === undefined ? x.shape.map((_, i) => i) : typeof axes === 'number' ? [axes] : axes;
  return list.reduce<NDArray>((y, a) => {
    const at = normalizeAxis(a, y.shape.length, 'fftshift');
    return roll(y, shift(fixed(y.shape[at], 'fftshift')), at);
  }, x);
};
/** The element of frequency 0 in the middle of each axis. */
export const fftshift = (x: NDArray, axes?: number | readonly number[]): NDArray =>
  shifted(x, axes, (n) => Math.floor(n / 2));
/** The inverse of fftshift. */
export const ifftshift = (x: NDArray, axes?: number | readonly number[]): NDArray =>
  shifted(x, axes, (n) => -Math.floor(n / 2));

/** Frequencies of the elements of fft, for samples `d` apart. */
export function fftfreq(n: number, d = 1): NDArray {
  const half = Math.ceil(checkedSize(n, 'fftfreq') / 2);
  return fromData(Float32Array.from({ length: n }, (_, i) => (i < half ? i : i - n) / (n * d)));
}
/** Frequencies of the elements of rfft. */
export const rfftfreq = (n: number, d = 1): NDArray =>
  arange(Math.floor(checkedSize(n, 'rfftfreq') / 2) + 1)
    .cast('f32')
    .mul(1 / (n * d));
